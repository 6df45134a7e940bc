//! Every route of the API, once.
//!
//! Routers, the 501 answers, the 405/404 fallback, `template.yaml` (checked by the template tests) and
//! the README's list are made from this table. What always holds: each route is also answered under
//! [`LEGACY_PREFIX`] (contract §0.2), and a path parameter has the same name wherever it stands.

/// Deployed clients have base URLs that end in this prefix (contract §0.2).
pub const LEGACY_PREFIX: &str = "/metascan_rest";

/// The HTTP functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Function {
    /// Login, users, roles, directories.
    Auth,
    /// Everything that brings files in, or stops them.
    Upload,
    /// Everything that reads results.
    Results,
    /// Configuration, engines, YARA, licence, statistics, health.
    Admin,
}

/// One route.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    /// HTTP verb.
    pub method: &'static str,
    /// Path with `{parameters}`, without the legacy prefix.
    pub path: &'static str,
    /// The function that answers it.
    pub function: Function,
    /// `false`: answers 501 `{"err":"Not implemented"}` until later work fills it.
    pub ready: bool,
}

macro_rules! routes {
    ($($function:ident $state:ident $method:ident $path:literal)*) => {
        /// The table.
        pub const ROUTES: &[Route] = &[$(Route {
            method: stringify!($method), path: $path, function: Function::$function, ready: routes!(@ $state),
        },)*];
    };
    (@ ready) => { true };
    (@ later) => { false };
}

routes! {
    Auth ready POST "/login"
    Auth ready POST "/logout"
    Auth ready GET "/user/me"
    Auth ready POST "/user/changepassword"
    Auth ready GET "/admin/user"
    Auth ready POST "/admin/user"
    Auth ready GET "/admin/user/{id}"
    Auth ready PUT "/admin/user/{id}"
    Auth ready DELETE "/admin/user/{id}"
    Auth ready POST "/admin/user/{id}/unlock"
    Auth ready GET "/admin/user/{id}/session"
    Auth ready DELETE "/admin/user/{id}/session"
    Auth ready DELETE "/admin/user/{id}/session/{session_id}"
    Auth ready GET "/admin/role"
    Auth ready POST "/admin/role"
    Auth ready GET "/admin/role/{id}"
    Auth ready PUT "/admin/role/{id}"
    Auth ready DELETE "/admin/role/{id}"
    Auth ready GET "/admin/userdirectory"
    Auth ready POST "/admin/userdirectory"
    Auth ready GET "/admin/userdirectory/{id}"
    Auth ready PUT "/admin/userdirectory/{id}"
    Auth ready DELETE "/admin/userdirectory/{id}"

    Upload ready POST "/file"
    Upload ready POST "/file/presign"
    Upload ready POST "/file/sync"
    Upload ready POST "/file/{data_id}/cancel"
    Upload ready POST "/file/batch"
    Upload ready POST "/file/batch/{batch_id}/close"
    Upload ready POST "/file/batch/{batch_id}/close/callback"
    Upload ready POST "/file/batch/{batch_id}/cancel"
    Upload ready POST "/file/multipart"
    Upload ready POST "/file/multipart/{data_id}"
    Upload ready GET "/file/multipart/{data_id}"
    Upload ready DELETE "/file/multipart/{data_id}"
    Upload ready POST "/file/multipart/{data_id}/presign"

    Results ready GET "/"
    Results ready GET "/openapi.json"
    Results ready GET "/docs"
    Results ready GET "/console/{file}"
    Results ready GET "/limits"
    Results ready GET "/file/rules"
    Results ready GET "/file/{data_id}"
    Results ready GET "/process/{data_id}"
    Results ready GET "/hash/{hash}"
    Results ready GET "/archive/{data_id}"
    Results ready POST "/hash"
    Results later GET "/file/converted/{data_id}"
    Results ready GET "/file/webhook/{data_id}"
    Results ready POST "/file/webhook/{data_id}/resend"
    Results ready GET "/file/batch/{batch_id}"
    Results ready GET "/file/batch/{batch_id}/certificate"

    Admin ready GET "/version"
    Admin ready GET "/readyz"
    Admin ready GET "/stat/engines"
    Admin ready GET "/stat/nodes"
    Admin ready GET "/stat/summary"
    Admin ready POST "/admin/import"
    Admin ready GET "/admin/export"
    Admin ready GET "/admin/license"
    Admin ready POST "/admin/license"
    Admin ready POST "/admin/license/activation"
    Admin ready GET "/admin/config/auditlog"
    Admin ready PUT "/admin/config/auditlog"
    Admin ready GET "/admin/config/quarantine"
    Admin ready PUT "/admin/config/quarantine"
    Admin ready GET "/admin/config/scanhistory"
    Admin ready PUT "/admin/config/scanhistory"
    Admin ready GET "/admin/config/sanitize"
    Admin ready PUT "/admin/config/sanitize"
    Admin ready GET "/admin/auditlog"
    Admin ready GET "/admin/config/session"
    Admin ready PUT "/admin/config/session"
    Admin ready GET "/admin/config/update"
    Admin ready PUT "/admin/config/update"
    Admin ready GET "/admin/config/skip"
    Admin ready PUT "/admin/config/skip"
    Admin ready GET "/admin/config/webhook"
    Admin ready PUT "/admin/config/webhook"
    Admin ready GET "/admin/config/scan"
    Admin ready PUT "/admin/config/scan"
    Admin ready GET "/admin/config/healthcheck"
    Admin ready PUT "/admin/config/healthcheck"
    Admin ready GET "/admin/history"
    Admin ready POST "/admin/rescan"
    Admin ready GET "/admin/rescan"
    Admin ready DELETE "/admin/rescan"
    Admin ready GET "/admin/config/rescan"
    Admin ready PUT "/admin/config/rescan"
    Admin ready GET "/admin/quarantine"
    Admin ready GET "/admin/quarantine/{data_id}"
    Admin ready DELETE "/admin/quarantine/{data_id}"
    Admin ready GET "/admin/quarantine/{data_id}/download"
    Admin ready POST "/admin/quarantine/{data_id}/restore"
    Admin ready GET "/admin/config/rules"
    Admin ready PUT "/admin/config/rules"
    Admin ready GET "/admin/config/yara/sources"
    Admin ready PUT "/admin/config/yara/sources"
    Admin ready GET "/yara/package"
    Admin ready PUT "/yara/generate"
    Admin ready POST "/yara/generate"
    Admin ready POST "/yara/rollback"
    Admin ready GET "/admin/engine"
    Admin ready POST "/admin/engine/{engine_id}/enable"
    Admin ready POST "/admin/engine/{engine_id}/disable"
    Admin ready POST "/admin/engine/{engine_id}/pin"
    Admin ready POST "/admin/engine/{engine_id}/unpin"
}

/// The routes of one function.
pub fn of(function: Function) -> impl Iterator<Item = &'static Route> {
    ROUTES.iter().filter(move |route| route.function == function)
}

/// Verbs that some function answers on this concrete path (without the legacy prefix); empty for an unknown path.
///
/// A literal segment beats a parameter, as in API Gateway and axum: `/file/rules` is not `/file/{data_id}`.
pub fn verbs_of(path: &str) -> Vec<&'static str> {
    let path = path.strip_prefix(LEGACY_PREFIX).filter(|rest| rest.is_empty() || rest.starts_with('/')).unwrap_or(path);
    let wanted: Vec<&str> = segments(path).collect();
    ROUTES.iter().filter(|route| matches(route.path, &wanted)).map(|route| route.method).collect()
}

fn segments(path: &str) -> impl Iterator<Item = &str> {
    path.trim_matches('/').split('/')
}

fn matches(pattern: &str, wanted: &[&str]) -> bool {
    let mut parts = segments(pattern);
    wanted.iter().all(|segment| parts.next().is_some_and(|part| part == *segment || (part.starts_with('{') && !segment.is_empty())))
        && parts.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_route_stands_twice() {
        for (n, route) in ROUTES.iter().enumerate() {
            let twins = ROUTES.iter().skip(n + 1).filter(|other| other.method == route.method && other.path == route.path);
            assert_eq!(twins.count(), 0, "{} {}", route.method, route.path);
        }
    }

    #[test]
    fn verbs_of_known_and_unknown_paths() {
        assert_eq!(verbs_of("/login"), ["POST"]);
        assert_eq!(verbs_of("/metascan_rest/login"), ["POST"]);
        assert!(verbs_of("/file/0123").contains(&"GET"));
        assert!(verbs_of("/nowhere").is_empty());
        assert!(verbs_of("/file/a/b/c/d").is_empty());
        assert_eq!(verbs_of("/"), ["GET"]);
    }

    #[test]
    fn the_readme_lists_the_routes_of_later_work() {
        let readme = include_str!("../../../../README.md");
        let lines: Vec<_> = ROUTES.iter().filter(|route| !route.ready).map(|route| format!("- `{} {}`", route.method, route.path)).collect();
        let list = lines.join("\n");
        assert!(readme.contains(&format!("\n\n{list}\n\n")), "the README's list is to be:\n{list}");
    }
}
