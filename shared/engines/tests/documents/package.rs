//! Open XML and ODF: packages whose parts are all scanned, and of which only files are listed.

use portcullis_core::domain::verdict::Code;

use crate::common::{Case, eicar, lines, stored, zip, zip_with};
use crate::make::{compound, native};
use crate::{found, report};

fn docx(more: &[(&str, &[u8])]) -> Vec<u8> {
    let types = br#"<?xml version="1.0"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Default Extension="xml" ContentType="application/xml"/></Types>"#;
    let parts: [(&str, &[u8]); 3] = [
        ("[Content_Types].xml", types),
        ("_rels/.rels", b"<?xml version=\"1.0\"?><Relationships/>"),
        ("word/document.xml", b"<?xml version=\"1.0\"?><w:document/>"),
    ];
    zip(&[&parts[..], more].concat())
}

fn odt(manifest: &str, more: &[(&str, &[u8])]) -> Vec<u8> {
    let parts: [(&str, &[u8]); 3] = [
        ("mimetype", b"application/vnd.oasis.opendocument.text"),
        ("content.xml", b"<?xml version=\"1.0\"?><x/>"),
        ("META-INF/manifest.xml", manifest.as_bytes()),
    ];
    zip_with(&[&parts[..], more].concat(), stored())
}

#[test]
fn a_document_without_files_is_no_archive() {
    for (name, content) in [("a.docx", docx(&[])), ("a.odt", odt("<m/>", &[]))] {
        let report = report(name, &content);
        assert_eq!(report.root.verdict.code, Code::NoThreatDetected, "{:?}", report.root.verdict);
        assert_eq!(report.root.file_type.category, "D");
        assert!(report.children.is_empty() && !report.root.is_archive);
    }
}

#[test]
fn parts_are_scanned_and_listed_if_there_is_something_to_tell() {
    assert_eq!(found("a.docx", &docx(&[("customXml/item1.xml", &eicar())])), ["1 a.docx", "1 a.docx/customXml/item1.xml"]);
}

#[test]
fn embedded_files_are_listed_and_opened() {
    let object = compound(&[("/\u{1}Ole10Native", &native("eicar.com", &eicar()))]);
    let lines = found("a.docx", &docx(&[("word/embeddings/oleObject1.bin", &object), ("word/media/image1.png", b"\x89PNG\r\n\x1a\n")]));
    let object = "a.docx/word/embeddings/oleObject1.bin";
    assert_eq!(lines, ["1 a.docx".into(), format!("1 {object}"), format!("1 {object}/eicar.com"), "0 a.docx/word/media/image1.png".into()]);
    let inner = docx(&[("word/embeddings/x.txt", &eicar())]);
    let lines = found("a.odt", &odt("<m/>", &[("Object 1", &inner)]));
    assert!(lines.contains(&"1 a.odt/Object 1/word/embeddings/x.txt".into()), "{lines:?}");
}

#[test]
fn open_documents_that_need_a_password_are_told() {
    let manifest = "<manifest:manifest><manifest:file-entry><manifest:encryption-data/></manifest:file-entry></manifest:manifest>";
    assert_eq!(lines(&Case::new("a.odt", &odt(manifest, &[])).run()), ["15 a.odt"]);
}
