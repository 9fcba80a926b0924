//! `/foreman/v1/openapi.json`: foreman's own API, machine-readable.

use crate::response::{self, Response};

/// The description, written by hand; a test compares it with the routes.
pub(crate) const DOCUMENT: &str = include_str!("openapi.json");

pub(crate) fn answer() -> Response {
    response::json(200, DOCUMENT)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use http::Method;
    use serde_json::Value;

    use super::*;
    use crate::job_routes::{JobRoute, JobsRoute};
    use crate::router::{OwnRoute, Route, route};
    use crate::routes::queue::Steer;

    const ID: &str = "01J9Z3N6T5Q8W0V2X4Y6Z8A0BC";

    /// Every route of foreman's own that is part of the description.
    fn own() -> Vec<Route> {
        let job = |route| Route::Jobs(JobsRoute::One(ID.to_owned(), route));
        vec![
            Route::Own(OwnRoute::Healthz),
            Route::Own(OwnRoute::Readyz),
            Route::Own(OwnRoute::Metrics),
            Route::Own(OwnRoute::OpenApi),
            Route::Own(OwnRoute::Queue),
            Route::Own(OwnRoute::Steer(Steer::Pause)),
            Route::Own(OwnRoute::Steer(Steer::Resume)),
            Route::Jobs(JobsRoute::All),
            Route::Jobs(JobsRoute::Events),
            job(JobRoute::Job),
            job(JobRoute::Output),
            job(JobRoute::Stream),
            job(JobRoute::Request),
            job(JobRoute::Cancel),
            job(JobRoute::Retry),
        ]
    }

    /// Returns the path of a route; a new one does not compile until it has a place here, and then
    /// belongs into the list above.
    fn path(route: &Route) -> Option<&'static str> {
        match route {
            Route::Own(own) => match own {
                OwnRoute::Root | OwnRoute::NotFound => None,
                OwnRoute::Healthz => Some("/healthz"),
                OwnRoute::Readyz => Some("/readyz"),
                OwnRoute::Metrics => Some("/metrics"),
                OwnRoute::OpenApi => Some("/foreman/v1/openapi.json"),
                OwnRoute::Queue => Some("/foreman/v1/queue"),
                OwnRoute::Steer(Steer::Pause) => Some("/foreman/v1/queue/pause"),
                OwnRoute::Steer(Steer::Resume) => Some("/foreman/v1/queue/resume"),
            },
            Route::Jobs(JobsRoute::All) => Some("/foreman/v1/jobs"),
            Route::Jobs(JobsRoute::Events) => Some("/foreman/v1/events"),
            Route::Jobs(JobsRoute::One(_, route)) => Some(match route {
                JobRoute::Job => "/foreman/v1/jobs/{id}",
                JobRoute::Output => "/foreman/v1/jobs/{id}/output",
                JobRoute::Stream => "/foreman/v1/jobs/{id}/stream",
                JobRoute::Request => "/foreman/v1/jobs/{id}/request",
                JobRoute::Cancel => "/foreman/v1/jobs/{id}/cancel",
                JobRoute::Retry => "/foreman/v1/jobs/{id}/retry",
            }),
            Route::Queued(_)
            | Route::Direct
            | Route::Inventory(_)
            | Route::Ps
            | Route::LiveChange
            | Route::Live
            | Route::NotAllowed(_)
            | Route::Redirect(_) => None,
        }
    }

    /// Returns the paths of the description with their methods.
    fn described() -> BTreeMap<String, BTreeSet<String>> {
        let document: Value = serde_json::from_str(DOCUMENT).unwrap();
        let paths = document["paths"].as_object().unwrap().iter();
        paths
            .map(|(path, item)| {
                let methods = item.as_object().unwrap().keys();
                let methods = methods.filter(|key| *key != "parameters");
                (path.clone(), methods.map(|it| it.to_uppercase()).collect())
            })
            .collect()
    }

    #[test]
    fn every_route_and_method_is_described_and_nothing_else() {
        let mut served: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for own in own() {
            let path = path(&own).unwrap();
            let asked = path.replace("{id}", ID);
            let methods = served.entry(path.to_owned()).or_default();
            for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
                let method = Method::from_bytes(method.as_bytes()).unwrap();
                if route(&method, &asked, None) == own {
                    methods.insert(method.to_string());
                }
            }
        }

        assert_eq!(served, described());
    }

    #[test]
    fn every_reference_of_the_description_leads_somewhere() {
        fn walk(value: &Value, document: &Value) {
            if let Some(place) = value.get("$ref").and_then(Value::as_str) {
                let place = place.trim_start_matches('#');
                assert!(document.pointer(place).is_some(), "{place}");
            }
            let members = value.as_object().into_iter().flat_map(|it| it.values());
            let items = value.as_array().into_iter().flatten();
            members.chain(items).for_each(|inner| walk(inner, document));
        }
        let document: Value = serde_json::from_str(DOCUMENT).unwrap();

        walk(&document, &document);
    }
}
