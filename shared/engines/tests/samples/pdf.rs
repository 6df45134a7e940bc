//! PDF documents, hostile and ordinary.

use std::io::Write;

use super::{Sample, labelled, text};

fn pdf(objects: &[&str]) -> Vec<u8> {
    let body = objects.iter().enumerate().map(|(n, object)| format!("{} 0 obj\n{object}\nendobj\n", n + 1)).collect::<Vec<_>>().concat();
    text(&format!("%PDF-1.7\n{body}trailer<</Root 1 0 R>>\n%%EOF\n"))
}

fn deflated(dictionary: &str, content: &str) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(&text(content)).unwrap();
    let data = encoder.finish().unwrap();
    [&b"%PDF-1.7\n1 0 obj\n<<"[..], &text(dictionary), b"/Filter/FlateDecode>>\nstream\r\n", &data, b"\nendstream\nendobj\n%%EOF\n"].concat()
}

pub(super) fn samples() -> Vec<Sample> {
    let spray = format!("<</Type/Catalog/OpenAction<</S/Java·Script/JS(var s=unes·cape\\('{}'\\);)>>>>", "%u90·90%u9090".repeat(10));
    let unpacks = format!("<</Type/Catalog/AA<</O<</S/Java·Script/JS(ev·al\\(String.from·CharCode\\(1\\)\\); var a='{}')>>>>>>", "QUJD".repeat(600));
    let program = ["<</Names<</EmbeddedFiles 2 0 R>>>>", "<</Type/Filespec/F(invoice.e·xe)/EF<</F 3 0 R>>>>", "<</Type/EmbeddedFile>>"];
    let table = ["<</Names<</EmbeddedFiles 2 0 R>>>>", "<</Type/Filespec/F(data.xml)/EF<</F 3 0 R>>>>", "<</Type/EmbeddedFile>>"];
    let samples = vec![
        ("LaunchProgram", true, "pdf", pdf(&["<</Type/Catalog/OpenAction<</S/Lau·nch/Win<</F(cm·d.exe)/P(/c calc)>>>>>>"])),
        ("Shellcode", true, "pdf", pdf(&[&spray])),
        ("HiddenNames", true, "pdf", pdf(&["<</Type/Catalog/OpenAction<</S/J#61va·Script/JS(x)>>>>"])),
        ("AttachedProgram", true, "pdf", pdf(&program)),
        ("Unpacks", true, "pdf", pdf(&[&unpacks])),
        ("ExportsAndOpens", true, "pdf", pdf(&["<</OpenAction<</S/JavaScript/JS(this.exportData·Object\\({cName:'a',nLau·nch:2}\\))>>>>"])),
        ("RemoteFile", true, "pdf", pdf(&["<</Type/Catalog/OpenAction<</S/Go·ToE/F(\\\\\\\\192.0.2.1\\\\x)>>>>"])),
        ("OpensProgram", true, "pdf", pdf(&["<</Type/Catalog/OpenAction<</S/URI/URI(http://192.0.2.1/a.e·xe)>>>>"])),
        ("Exploit", true, "pdf", pdf(&["<</Type/Catalog/AA<</O<</S/JavaScript/JS(Collab.collect·EmailInfo\\({msg:x}\\))>>>>>>"])),
        ("LaunchProgram", true, "hidden.pdf", deflated("/Type/ObjStm/N 1/First 4", "2 0 <</OpenAction<</S/Lau·nch/Win<</F(cm·d.exe)>>>>>>")),
        ("Heur.", false, "pdf", pdf(&["<</Type/Catalog/OpenAction[3 0 R/FitH]>>"])),
        ("Heur.", false, "pdf", pdf(&["<</AcroForm<<>>/AA<</F<</S/JavaScript/JS(AFNumber_Format\\(2,0,0,0,\"\",true\\);)>>>>>>"])),
        ("Heur.", false, "pdf", pdf(&["<</OpenAction<</S/JavaScript/JS(this.print\\({bUI:true}\\);)>>>>"])),
        ("Heur.", false, "pdf", pdf(&["<</A<</S/URI/URI(https://example.org/setup.exe)>>>>"])),
        ("Heur.", false, "pdf", pdf(&table)),
        ("Heur.", false, "pdf", pdf(&["<</Filter[/JBIG2Decode]/Type/XObject>>"])),
        ("Heur.", false, "pdf", pdf(&["<</Type/Font/BaseFont/Arial#20Bold/Name/A#2FB>>"])),
        ("Heur.", false, "pdf", deflated("/Length 9", "BT /F1 12 Tf (Launch JavaScript OpenAction) Tj ET")),
    ];
    labelled("PDF", samples)
}
