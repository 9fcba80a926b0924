//! Replays arrivals through foreman's policy, through first in, first out, and through the best
//! order that there is where that can be found; prints what each comes to.
//!
//! ```sh
//! cargo run --release -p foreman-scheduler --example simulate
//! cargo run --release -p foreman-scheduler --example simulate -- trace.csv 20
//! ```
//!
//! A trace has lines of arrival in milliseconds, model, caller, class, and milliseconds of run; the
//! second argument is how many seconds a load takes. From a foreman's database:
//!
//! ```sh
//! sqlite3 -readonly -csv -header foreman.db "SELECT created_at - (SELECT min(created_at) FROM jobs),
//!   model, coalesce(caller, ''), CASE priority WHEN 0 THEN 'high' WHEN 1 THEN 'normal' ELSE 'low' END,
//!   (total_ns - load_ns) / 1000000 FROM jobs WHERE state = 'done' ORDER BY seq"
//! ```

mod arrivals;
mod best;
mod figures;
mod online;
mod target;

use std::error::Error;
use std::io::{self, Write};
use std::time::Duration;

use foreman_scheduler::policy::Bounds;

use arrivals::{Trace, small, traces};
use best::best;
use figures::{Figures, figures};
use online::can_keep_to;
use target::{Rule, run};

/// The default of foreman.
const MAX_WAIT: Duration = Duration::from_mins(5);

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut out = io::stdout().lock();
    let Some(path) = arguments.next() else {
        write_table(&mut out, &traces())?;
        return write_small(&mut out, &small());
    };
    let load = arguments.next().map_or(Ok(20), |text| text.parse())?;
    let text = std::fs::read_to_string(&path)?;
    let trace = Trace::read(&path, Duration::from_secs(load), &text);
    let trace = trace.ok_or("a line is not: milliseconds,model,caller,class,milliseconds")?;
    write_table(&mut out, &[trace])
}

fn write_table(out: &mut dyn Write, traces: &[Trace]) -> Result<(), Box<dyn Error>> {
    writeln!(
        out,
        "| arrivals | order | swaps | makespan | mean wait | p99 wait | worst wait | fairness |"
    )?;
    writeln!(out, "|---|---|---|---|---|---|---|---|")?;
    for trace in traces {
        let name = format!("{} ({} jobs)", trace.name, trace.jobs.len());
        for (order, rule) in [
            ("first in, first out", Rule::Fifo),
            ("foreman", Rule::Policy(Bounds::new(MAX_WAIT))),
            (
                "foreman, no age bound",
                Rule::Policy(Bounds::new(Duration::ZERO)),
            ),
        ] {
            let figures = figures(trace, &run(trace, 1, rule));
            write_row(out, &name, order, &figures)?;
        }
    }
    Ok(())
}

fn write_row(
    out: &mut dyn Write,
    name: &str,
    order: &str,
    figures: &Figures,
) -> Result<(), Box<dyn Error>> {
    let Figures {
        swaps,
        makespan,
        mean,
        p99,
        worst,
        jain,
    } = figures;
    writeln!(
        out,
        "| {name} | {order} | {swaps} | {} s | {} s | {} s | {} s | {jain:.2} |",
        makespan.as_secs(),
        mean.as_secs(),
        p99.as_secs(),
        worst.as_secs(),
    )?;
    Ok(())
}

/// Writes how far the policy is from the best order on traces that are small enough to know it.
fn write_small(out: &mut dyn Write, traces: &[Trace]) -> Result<(), Box<dyn Error>> {
    let mut totals = [0.0, 0.0];
    let mut swaps = [0, 0, 0];
    let mut beyond = Vec::new();
    for trace in traces {
        let fifo = figures(trace, &run(trace, 1, Rule::Fifo));
        let ours = Rule::Policy(Bounds::new(Duration::ZERO));
        let ours = figures(trace, &run(trace, 1, ours));
        let best = best(trace);
        let factor = ours.makespan.as_secs_f64() / best.makespan.as_secs_f64();
        if factor > 1.1 {
            beyond.push((&trace.name, factor, can_keep_to(factor * 0.99, trace)));
        }
        for (total, time) in totals.iter_mut().zip([fifo.makespan, ours.makespan]) {
            *total += time.as_secs_f64() / best.makespan.as_secs_f64();
        }
        for (sum, count) in swaps.iter_mut().zip([fifo.swaps, ours.swaps, best.swaps]) {
            *sum += count;
        }
    }
    let count: f64 = traces.iter().map(|_| 1.0).sum();
    let [fifo, ours] = totals.map(|total| total / count);
    let [of_fifo, of_ours, of_best] = swaps;
    writeln!(
        out,
        "\n{} traces of 12 jobs, against the best order: first in, first out {fifo:.2} times its \
         makespan and {of_fifo} swaps, foreman {ours:.2} times and {of_ours}, the best order {of_best}.",
        traces.len()
    )?;
    for (name, factor, is_avoidable) in beyond {
        let can = if is_avoidable { "can" } else { "cannot" };
        writeln!(
            out,
            "{name}: {factor:.2} times; who does not know what comes {can} promise a hundredth less."
        )?;
    }
    Ok(())
}
