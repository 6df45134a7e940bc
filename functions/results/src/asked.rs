//! What the path and the query ask for: an id or hash, and `first` and `size` of listings (contract §2.6, §9 U18).

use axum::extract::{Path, rejection::PathRejection};
use axum::http::Uri;
use portcullis_core::http::body::query;
use portcullis_core::http::error::{ApiError, ErrorCode};

/// Largest page, and the page without a query, so that clients that never page see the children.
pub(crate) const MAX_PAGE: usize = 500;

/// The path parameter as it was asked.
pub(crate) fn asked(path: Result<Path<String>, PathRejection>) -> Result<String, ApiError> {
    path.map(|Path(asked)| asked).map_err(|_| ApiError::with_text(ErrorCode::BadRequest, "The path is not valid UTF-8."))
}

/// A window into a listing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) first: usize,
    pub(crate) size: usize,
}

impl Window {
    /// From the query. A size over the largest page is cut to it; what is no number is an error.
    pub(crate) fn read(uri: &Uri) -> Result<Self, ApiError> {
        Self::read_or(uri, MAX_PAGE)
    }

    /// As [`Window::read`], with another page where the query names none.
    pub(crate) fn read_or(uri: &Uri, page: usize) -> Result<Self, ApiError> {
        let number = |name: &'static str, default: usize| match query(uri, name).filter(|text| !text.is_empty()) {
            None => Ok(default),
            Some(text) => text.parse().map_err(|_| ApiError::with_text(ErrorCode::BadRequest, format!("`{name}` is not a whole number from 0."))),
        };
        Ok(Self { first: number("first", 0)?, size: number("size", page)?.min(MAX_PAGE) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(uri: &'static str) -> Result<Window, ApiError> {
        Window::read(&Uri::from_static(uri))
    }

    #[test]
    fn without_a_query_the_largest_page_with_one_the_window_and_nonsense_is_refused() {
        assert_eq!(window("/file/x").unwrap(), Window { first: 0, size: 500 });
        assert_eq!(window("/file/x?first=20&size=10").unwrap(), Window { first: 20, size: 10 });
        assert_eq!(window("/file/x?size=100000").unwrap().size, 500);
        assert!(window("/file/x?first=-1").is_err());
        assert!(window("/file/x?size=ten").is_err());
    }
}
