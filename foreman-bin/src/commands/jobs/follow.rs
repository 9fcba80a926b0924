//! `foreman jobs follow`: prints an answer from its beginning, and on while it comes.

use std::time::Duration;

use clap::Args;
use foreman_job::JobId;
use http::Method;
use tokio::time::Instant;

use super::JOBS;
use crate::commands::{CommandError, Form};
use crate::exit::Exit;
use crate::remote::{AnswerText, EventReader, JobEvent, Remote, Waiting, query};
use crate::screen::Console;

/// How long a foreman that went away may take to come back.
const PATIENCE: Duration = Duration::from_mins(2);

/// The pause before it is asked again.
const PAUSE: Duration = Duration::from_millis(500);

/// Arguments of `foreman jobs follow`.
#[derive(Debug, Args)]
pub(crate) struct FollowArgs {
    /// Id of the job.
    id: JobId,
    /// Print the bytes of the target instead of the words in them.
    #[arg(long)]
    raw: bool,
    /// Begin after this event (with --json, which numbers them).
    #[arg(long, value_name = "N", default_value_t = 0)]
    starting_after: u64,
}

/// What of an answer is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sound {
    /// Its words.
    Words,
    /// Its bytes.
    Raw,
}

pub(super) async fn run(
    args: &FollowArgs,
    remote: &Remote,
    console: &mut Console<'_, '_>,
) -> Result<Exit, CommandError> {
    let sound = if args.raw { Sound::Raw } else { Sound::Words };
    follow_from(
        &args.id.to_string(),
        args.starting_after,
        sound,
        remote,
        console,
    )
    .await
}

/// Follows a job from its first event to its last.
pub(crate) async fn follow(
    id: &str,
    sound: Sound,
    remote: &Remote,
    console: &mut Console<'_, '_>,
) -> Result<Exit, CommandError> {
    follow_from(id, 0, sound, remote, console).await
}

async fn follow_from(
    id: &str,
    after: u64,
    sound: Sound,
    remote: &Remote,
    console: &mut Console<'_, '_>,
) -> Result<Exit, CommandError> {
    let mut following = Following {
        last: after,
        sound,
        text: AnswerText::default(),
        printed: Vec::new(),
        connected: false,
        end: None,
    };
    let mut lost: Option<Instant> = None;
    loop {
        let before = following.last;
        let listened = following.listen(id, remote, console).await;
        if let Some(exit) = following.end {
            following.finish(console)?;
            return Ok(exit);
        }
        let error = match listened {
            Ok(()) => remote.foreign("the stream of a job stops without an end"),
            Err(error) if following.connected && may_pass(&error) => error,
            Err(error) => return Err(error),
        };
        if following.last > before {
            lost = None;
        }
        match lost {
            Some(since) if since.elapsed() > PATIENCE => return Err(error),
            Some(_) => {}
            None => {
                lost = Some(Instant::now());
                console.remark(&format!("{error}; trying again"))?;
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Tells whether foreman may be back soon.
fn may_pass(error: &CommandError) -> bool {
    matches!(
        error,
        CommandError::Unreachable { .. } | CommandError::Refused { status: 503, .. }
    )
}

/// What is known of a job that is followed.
struct Following {
    /// The number of the last event.
    last: u64,
    sound: Sound,
    text: AnswerText,
    /// The last line printed, to know whether it is finished.
    printed: Vec<u8>,
    /// Whether foreman answered once: from then on it is waited for.
    connected: bool,
    end: Option<Exit>,
}

impl Following {
    /// Reads events until the connection ends.
    async fn listen(
        &mut self,
        id: &str,
        remote: &Remote,
        console: &mut Console<'_, '_>,
    ) -> Result<(), CommandError> {
        let path = format!("{JOBS}/{id}/stream");
        let after = self.last.to_string();
        let path = query(
            &path,
            &[("starting_after", Some(&after)), ("follow", Some("true"))],
        );
        let answer = remote
            .open(Method::GET, &path, None, Waiting::ForEver)
            .await?;
        self.connected = true;
        let mut body = answer.body;
        let mut reader = EventReader::default();
        while let Some(piece) = body.chunk().await {
            let piece = piece.map_err(|source| remote.lost(source))?;
            let events = reader.push(&piece).map_err(|what| remote.foreign(what))?;
            for event in events {
                self.take(&event, console)?;
                if self.end.is_some() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn take(
        &mut self,
        event: &JobEvent,
        console: &mut Console<'_, '_>,
    ) -> Result<(), CommandError> {
        self.last = self.last.max(event.n);
        if console.form == Form::Json {
            console.line(&event.line)?;
            console.data(b"")?;
        }
        match event.kind.as_str() {
            "chunk" if console.form == Form::Table => self.print(&event.data, console)?,
            "reset" if console.form == Form::Table => {
                self.finish(console)?;
                console.remark(&format!(
                    "attempt {} begins the answer again",
                    event.attempt
                ))?;
            }
            "end" => self.end = Some(ending(event, console)?),
            _ => {}
        }
        Ok(())
    }

    fn print(&mut self, data: &[u8], console: &mut Console<'_, '_>) -> Result<(), CommandError> {
        let shown = match self.sound {
            Sound::Raw => data.to_vec(),
            Sound::Words => self.text.push(data).into_bytes(),
        };
        self.write(&shown, console)
    }

    fn write(&mut self, bytes: &[u8], console: &mut Console<'_, '_>) -> Result<(), CommandError> {
        if !bytes.is_empty() {
            console.data(bytes)?;
            self.printed = bytes.to_vec();
        }
        Ok(())
    }

    /// Ends the last line of words; bytes are left as they are.
    fn finish(&mut self, console: &mut Console<'_, '_>) -> Result<(), CommandError> {
        let rest = self.text.finish();
        self.write(rest.as_bytes(), console)?;
        let open = self.printed.last().is_some_and(|byte| *byte != b'\n');
        if open && self.sound == Sound::Words {
            console.data(b"\n")?;
        }
        self.printed.clear();
        Ok(())
    }
}

fn ending(event: &JobEvent, console: &mut Console<'_, '_>) -> Result<Exit, CommandError> {
    let state = event.state.as_deref().unwrap_or("over");
    if state == "done" {
        return Ok(Exit::Ok);
    }
    let reason = event.error.as_deref().map(|it| format!(": {it}"));
    let reason = reason.unwrap_or_default();
    console.remark(&format!("job {state}{reason}"))?;
    Ok(Exit::Failed)
}
