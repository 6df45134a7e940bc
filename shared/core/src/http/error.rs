//! The one API error type. The code is the wire truth: it fixes status and text. What caused it is
//! logged and never sent.

use std::borrow::Cow;

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header::RETRY_AFTER},
    response::{IntoResponse, Response},
};
use serde_json::json;

/// When a client that was told to come later should (contract §9 U38): the queue's depth is some seconds old.
const RETRY_SECONDS: &str = "5";
/// Where an error text stands in the body.
const ERR: &str = "err";

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $status:literal, $text:literal;)*) => {
        /// What went wrong, as the client sees it (contract §1, §4.3, §5.7).
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum ErrorCode { $($(#[$doc])* $name,)* }
        impl ErrorCode {
            /// Every code.
            pub const ALL: &[Self] = &[$(Self::$name,)*];
            /// HTTP status.
            pub const fn status(self) -> u16 { match self { $(Self::$name => $status,)* } }
            /// The `err` text.
            pub const fn text(self) -> &'static str { match self { $(Self::$name => $text,)* } }
        }
    };
}

codes! {
    /// The key is invalid or expired (analysis calls).
    BadKey = 400, "Access denied";
    /// The caller may not do this here; or no key where one is needed.
    Forbidden = 403, "Access denied";
    /// The key is valid, its role lacks the right.
    NoRights = 405, "Access denied";
    /// Unknown user or wrong password; the two look the same.
    LoginFailed = 403, "Failed to login";
    /// Logout without a key.
    LogoutError = 400, "Logout error";
    /// Nothing is at this path, or not for the caller.
    NotFound = 404, "Not found";
    /// The path exists, the verb does not.
    MethodNotAllowed = 405, "Method not allowed";
    /// No length can be told.
    MissingLength = 411, "Missing Content-Length header.";
    /// Nothing to scan.
    EmptyFile = 422, "File is empty.";
    /// Larger than the rule permits. 500 and not 413: clients know it so (contract §9 U13).
    FileTooLarge = 500, "Failed to request scan. File size exceeded the maximum size permitted by your configuration.";
    /// The rule is unknown (contract §9 U5).
    RuleNotFound = 400, "Rule not found.";
    /// Storage refused or failed.
    RequestFailed = 500, "Failed to request scan. Try again later.";
    /// The body is no JSON of the expected shape, or a value is out of range.
    BadRequest = 400, "Bad request";
    /// A local path was named; this server has none to offer (contract §4.1).
    LocalScanRefused = 400, "Local scan is not supported.";
    /// The body ended early or could not be read.
    BodyUnreadable = 400, "The request body could not be read.";
    /// The guard refuses the `callbackurl` (contract §4.5).
    CallbackInvalid = 400, "Callback url is invalid.";
    /// The guard refuses the `sanitizedurl`.
    SanitizedInvalid = 400, "Sanitized url is invalid.";
    /// `POST /file/sync` with a `callbackurl`: the answer itself is the result.
    CallbackWithSync = 403, "A callback url is not supported here.";
    /// `POST /file/sync`: the scan takes longer than a connection may.
    StillScanning = 408, "The scan has not ended yet.";
    /// The scan queue is full (contract §3.5).
    TooBusy = 503, "Server is too busy. Try again later.";
    /// `downloadfrom` is no URL, or one that requests must not go to.
    DownloadUrl = 400, "Invalid download url.";
    /// `downloadfrom` has another scheme.
    DownloadScheme = 400, "Download url must start with http:// or https://.";
    /// `downloadfrom` leads elsewhere.
    DownloadRedirects = 400, "Redirect link not supported.";
    /// What `downloadfrom` leads to does not say what it is.
    DownloadUnknown = 400, "Cannot get file name and file size from url.";
    /// `downloadfrom` with a body.
    DownloadAndBody = 400, "Both body data and download link were given.";
    /// The rule does not take files in parts (contract §7.3).
    MultipartDisabled = 403, "Multipart upload is disabled.";
    /// All parts are there; what they make is being scanned.
    UploadComplete = 409, "The upload is already complete.";
    /// There is a verdict: nothing is left to cancel.
    ScanEnded = 400, "The scan has already ended.";
    /// There is no such batch (contract §9 U20).
    BatchNotFound = 404, "Batch not found";
    /// The batch takes no more files, or has its callback already.
    BatchClosed = 400, "Batch is closed.";
    /// Files of the batch are still being scanned: the client comes again (contract §9 U19).
    BatchUnfinished = 400, "Batch has unfinished files.";
    /// `close/callback` without its header.
    NoCallback = 403, "No callback url given.";
    /// Only of a closed batch something can be certified.
    BatchOpen = 400, "Batch is not closed.";
    /// The body says that it is a form, and is none.
    BrokenForm = 400, "The multipart/form-data body is malformed.";
    /// A user of that name exists.
    Conflict = 409, "Already exists";
    /// The settings that a change was made of are no longer in force (`If-Match`).
    ChangedMeanwhile = 412, "The settings were changed meanwhile: read them again.";
    /// The store did not take a change of settings (contract §1.7).
    NotModified = 500, "Error while modifying configuration";
    /// The licence file is none (contract L2).
    InvalidLicense = 400, "Invalid license";
    /// Later work.
    NotImplemented = 501, "Not implemented";
    /// Everything else.
    Internal = 500, "Internal server error";
}

/// An error on its way to a client.
#[derive(Debug)]
pub struct ApiError {
    code: ErrorCode,
    text: Option<Cow<'static, str>>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl ApiError {
    /// With a text that says more than the code's own. Public text: no internals.
    pub fn with_text(code: ErrorCode, text: impl Into<Cow<'static, str>>) -> Self {
        Self { code, text: Some(text.into()), source: None }
    }
    /// With the cause, for the log.
    pub fn caused(code: ErrorCode, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self { code, text: None, source: Some(source.into()) }
    }
    /// The code.
    pub const fn code(&self) -> ErrorCode {
        self.code
    }
}

impl From<ErrorCode> for ApiError {
    fn from(code: ErrorCode) -> Self {
        Self { code, text: None, source: None }
    }
}

impl From<crate::store::StoreError> for ApiError {
    fn from(error: crate::store::StoreError) -> Self {
        Self::caused(ErrorCode::Internal, error)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        if let Some(source) = &self.source {
            tracing::error!(error = %crate::error::chain(source.as_ref()), code = ?self.code, "request failed");
        }
        let text = self.text.unwrap_or(Cow::Borrowed(self.code.text()));
        let status = StatusCode::from_u16(self.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(json!({ ERR: text }))).into_response();
        if self.code == ErrorCode::TooBusy {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static(RETRY_SECONDS));
        }
        response
    }
}
