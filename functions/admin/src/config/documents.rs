//! The table of settings documents: routes, rights, validation and what import and export carry are made from it.

use portcullis_core::auth::SessionSettings;
use portcullis_core::auth::roles::Right;
use portcullis_core::domain::skip::SkipLists;
use portcullis_core::intake::ScanSettings;
use portcullis_core::rescan::{self, RescanSettings};
use portcullis_core::retention::Retention;
use portcullis_core::update::UpdateSettings;
use portcullis_core::webhook::WebhookSettings;
use serde::Serialize;
use serde_json::{Map, Value};

use super::shape::{Field, Kind, changed, field, shown};
use crate::health::HealthSettings;

/// How a document is read and shown.
#[derive(Debug)]
pub(crate) enum Shape {
    /// Field by field; what is not sent stays as it is.
    Fields(&'static [Field]),
    /// As a whole.
    Whole(fn(&Map<String, Value>) -> Result<Value, String>),
}

/// One document behind one path.
#[derive(Debug)]
pub(crate) struct Document {
    /// Path without the legacy prefix.
    pub(crate) path: &'static str,
    /// Name of the setting that holds it; several paths may show parts of one.
    pub(crate) setting: &'static str,
    /// What a change is called in the audit log.
    pub(crate) action: &'static str,
    pub(crate) read: Right,
    pub(crate) write: Right,
    /// The document as long as nobody changed anything.
    pub(crate) default: fn() -> Value,
    pub(crate) shape: Shape,
}

fn default_of<T: Default + Serialize>() -> Value {
    serde_json::to_value(T::default()).unwrap_or_default()
}

fn skip_lists(sent: &Map<String, Value>) -> Result<Value, String> {
    let lists = SkipLists::parse(sent)?;
    serde_json::to_value(lists).map_err(|e| format!("The lists can not be stored: {e}."))
}

/// A part of the retention settings, under the contract's name for it.
const fn retention(path: &'static str, action: &'static str, field: &'static [Field]) -> Document {
    Document {
        path,
        setting: Retention::NAME,
        action,
        read: Right::RetentionRead,
        write: Right::RetentionWrite,
        default: default_of::<Retention>,
        shape: Shape::Fields(field),
    }
}

const fn hours(stored: &'static str) -> Field {
    Field { name: "cleanuprange", alias: None, stored, kind: Kind::Number(Retention::HOURS) }
}

/// The table (contract §1.7; `rescan` is ours).
pub(crate) const DOCUMENTS: &[Document] = &[
    retention("/admin/config/auditlog", "config.auditlog.write", &[hours("auditlog")]),
    retention("/admin/config/quarantine", "config.quarantine.write", &[hours("quarantine")]),
    retention("/admin/config/scanhistory", "config.scanhistory.write", &[hours("scanhistory")]),
    retention(
        "/admin/config/sanitize",
        "config.sanitize.write",
        &[Field { name: "maxage", alias: None, stored: "sanitize", kind: Kind::Number(Retention::MINUTES) }],
    ),
    Document {
        path: "/admin/config/update",
        setting: UpdateSettings::NAME,
        action: "config.update.write",
        read: Right::UpdateRead,
        write: Right::UpdateWrite,
        default: default_of::<UpdateSettings>,
        shape: Shape::Fields(&[
            field("source", Kind::OneOf(&["internet", "folder", "manual"])),
            field("autoupdateperiod", Kind::Number(UpdateSettings::MINUTES)),
            field("pickupfolder", Kind::Text(1024)),
            field("deleteafterimport", Kind::Flag),
            field("disabledupdate", Kind::Windows),
        ]),
    },
    Document {
        path: "/admin/config/skip",
        setting: SkipLists::SETTING,
        action: "config.skip.write",
        read: Right::SkipRead,
        write: Right::SkipWrite,
        default: default_of::<SkipLists>,
        shape: Shape::Whole(skip_lists),
    },
    Document {
        path: "/admin/config/webhook",
        setting: WebhookSettings::NAME,
        action: "config.webhook.write",
        read: Right::ScanRead,
        write: Right::ScanWrite,
        default: default_of::<WebhookSettings>,
        shape: Shape::Fields(&[
            field("maxretrytime", Kind::Number(WebhookSettings::RETRIES)),
            field("delayduration", Kind::Number(WebhookSettings::MILLISECONDS)),
            // Core's own description misspells it; clients of either spelling find theirs (contract §6.5).
            Field {
                name: "delayprogression",
                alias: Some("deplayprogression"),
                stored: "delayprogression",
                kind: Kind::Number(WebhookSettings::MILLISECONDS),
            },
        ]),
    },
    Document {
        path: "/admin/config/scan",
        setting: ScanSettings::NAME,
        action: "config.scan.write",
        read: Right::ScanRead,
        write: Right::ScanWrite,
        default: default_of::<ScanSettings>,
        shape: Shape::Fields(&[field("max_queue_per_agent", Kind::Number(ScanSettings::RANGE))]),
    },
    Document {
        path: "/admin/config/healthcheck",
        setting: HealthSettings::NAME,
        action: "config.healthcheck.write",
        read: Right::ScanRead,
        write: Right::ScanWrite,
        default: default_of::<HealthSettings>,
        shape: Shape::Fields(&[
            field("enable", Kind::Flag),
            field("max_queue_percentage", Kind::Number(0..=100)),
            field("min_av_engines", Kind::Number(0..=100)),
            field("min_disk_percentage", Kind::Number(0..=100)),
            field("required_engines", Kind::Engines),
        ]),
    },
    Document {
        path: "/admin/config/session",
        setting: SessionSettings::NAME,
        action: "config.session.write",
        read: Right::ScanRead,
        write: Right::ScanWrite,
        default: default_of::<SessionSettings>,
        shape: Shape::Fields(&[
            field("sessionTimeout", Kind::Number(SessionSettings::RANGE)),
            field("absoluteSessionTimeout", Kind::Number(SessionSettings::RANGE)),
            field("allowCrossIpSessions", Kind::Flag),
            field("allowDuplicateSession", Kind::Flag),
        ]),
    },
    Document {
        path: "/admin/config/rescan",
        setting: RescanSettings::NAME,
        action: "config.rescan.write",
        read: Right::ScanRead,
        write: Right::ScanWrite,
        default: default_of::<RescanSettings>,
        shape: Shape::Fields(&[
            field("automatic", Kind::Flag),
            field("days", Kind::Number(rescan::DAYS)),
            field("per_minute", Kind::Number(rescan::RATES)),
        ]),
    },
];

impl Document {
    /// The last part of its path: its name in an export.
    pub(crate) fn name(&self) -> &'static str {
        self.path.rsplit('/').next().unwrap_or(self.path)
    }

    /// The document in force: what is stored over the defaults.
    pub(crate) fn in_force(&self, stored: Option<Value>) -> Value {
        let mut document = (self.default)();
        if let (Value::Object(document), Some(Value::Object(stored))) = (&mut document, stored) {
            document.extend(stored);
        }
        document
    }

    /// What is to be stored when this was sent.
    pub(crate) fn changed(&self, in_force: &Value, sent: &Map<String, Value>) -> Result<Value, String> {
        match self.shape {
            Shape::Fields(fields) => changed(fields, in_force, sent),
            Shape::Whole(parse) => parse(sent),
        }
    }

    /// The body that shows a document.
    pub(crate) fn shown(&self, document: &Value) -> Value {
        match self.shape {
            Shape::Fields(fields) => shown(fields, document),
            Shape::Whole(_) => document.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use portcullis_core::http::routes::ROUTES;
    use serde_json::json;

    use super::*;

    fn put(path: &str, sent: &Value) -> Result<Value, String> {
        let document = DOCUMENTS.iter().find(|document| document.path == path).unwrap();
        document.changed(&document.in_force(None), sent.as_object().unwrap()).map(|changed| document.shown(&changed))
    }

    #[test]
    fn every_document_has_its_two_routes_and_can_be_read_back() {
        for document in DOCUMENTS {
            let verbs: BTreeSet<_> = ROUTES.iter().filter(|route| route.path == document.path && route.ready).map(|route| route.method).collect();
            assert_eq!(verbs, BTreeSet::from(["GET", "PUT"]), "{}", document.path);
            let default = document.in_force(None);
            let shown = document.shown(&default);
            assert_eq!(document.changed(&default, shown.as_object().unwrap()).unwrap(), default, "{}: what is shown can be sent", document.path);
            if let Shape::Fields(fields) = document.shape {
                for field in fields {
                    assert!(default.get(field.stored).is_some(), "{} {}", document.path, field.stored);
                }
            }
        }
    }

    #[test]
    fn what_the_table_lets_through_its_readers_can_read() {
        let update = put("/admin/config/update", &json!({ "source": "internet", "disabledupdate": [{ "days": "5-7", "from": 480, "to": 960 }] }));
        let update: UpdateSettings = serde_json::from_value(update.unwrap()).unwrap();
        assert_eq!((update.autoupdateperiod, update.disabledupdate.len()), (240, 1));
        let health = put("/admin/config/healthcheck", &json!({ "required_engines": ["yarax_1_linux", "clamav"] })).unwrap();
        assert_eq!(health["required_engines"], json!(["YARA-X", "ClamAV"]));
        assert!(serde_json::from_value::<HealthSettings>(health).is_ok());
        assert_eq!(put("/admin/config/auditlog", &json!({ "cleanuprange": 0 })), Ok(json!({ "cleanuprange": 0 })));
        let retention = DOCUMENTS[0].changed(&DOCUMENTS[0].in_force(None), json!({ "cleanuprange": 5 }).as_object().unwrap()).unwrap();
        assert_eq!(serde_json::from_value::<Retention>(retention).unwrap(), Retention { auditlog: 5, ..Retention::default() });
    }

    #[test]
    fn either_spelling_is_taken_and_what_is_not_sent_stays() {
        let path = "/admin/config/webhook";
        let all =
            |progression: u64| json!({ "maxretrytime": 3, "delayduration": 1000, "delayprogression": progression, "deplayprogression": progression });
        assert_eq!(put(path, &json!({ "deplayprogression": 5 })), Ok(all(5)));
        assert_eq!(put(path, &json!({ "delayprogression": 6, "deplayprogression": 6 })), Ok(all(6)));
    }

    #[test]
    fn what_is_unknown_of_another_type_or_out_of_range_is_named() {
        for (path, sent, names) in [
            ("/admin/config/scan", json!({}), "`max_queue_per_agent`"),
            ("/admin/config/scan", json!({ "max_queue_per_agent": 0 }), "`max_queue_per_agent`"),
            ("/admin/config/scan", json!({ "max_queue_per_agent": -1 }), "`max_queue_per_agent`"),
            ("/admin/config/scan", json!({ "max_queue_per_agent": "700" }), "`max_queue_per_agent`"),
            ("/admin/config/scan", json!({ "max_queue_per_agent": 1_000_001 }), "`max_queue_per_agent`"),
            ("/admin/config/scan", json!({ "max_queue_per_agent": 7, "max_queue": 7 }), "`max_queue`"),
            ("/admin/config/webhook", json!({ "maxretrytime": 101 }), "`maxretrytime`"),
            ("/admin/config/webhook", json!({ "delayduration": 0.5 }), "`delayduration`"),
            ("/admin/config/webhook", json!({ "delayduration": 3_600_001 }), "`delayduration`"),
            ("/admin/config/webhook", json!({ "deplayprogression": null }), "`deplayprogression`"),
            ("/admin/config/webhook", json!({ "delayprogression": 1, "deplayprogression": 2 }), "`delayprogression`"),
            ("/admin/config/quarantine", json!({ "cleanuprange": 87_601 }), "`cleanuprange`"),
            ("/admin/config/quarantine", json!({ "quarantine": 1 }), "`quarantine`"),
            ("/admin/config/sanitize", json!({ "maxage": 525_601 }), "`maxage`"),
            ("/admin/config/update", json!({ "source": "moon" }), "`internet`"),
            ("/admin/config/update", json!({ "autoupdateperiod": 9 }), "`autoupdateperiod`"),
            ("/admin/config/update", json!({ "pickupfolder": "a\u{0}b" }), "`pickupfolder`"),
            ("/admin/config/update", json!({ "deleteafterimport": 1 }), "`deleteafterimport`"),
            ("/admin/config/update", json!({ "disabledupdate": [{ "days": "9", "from": 1, "to": 2 }] }), "`disabledupdate[0].days`"),
            ("/admin/config/healthcheck", json!({ "min_av_engines": 101 }), "`min_av_engines`"),
            ("/admin/config/healthcheck", json!({ "required_engines": ["Nobody"] }), "Nobody"),
        ] {
            let problem = put(path, &sent).unwrap_err();
            assert!(problem.contains(names), "{path}: {problem}");
        }
    }
}
