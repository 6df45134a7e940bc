// Office documents: what compressed macros and embedded objects look like from outside.

rule Office_Auto_Macro_Shell_Plain {
    meta:
        description = "VBA source with an automatic procedure that starts a program"
        severity = "suspicious"
        threat = "Macro.AutoShell"
    strings:
        $vba = "Attribute VB_Name" nocase
        $auto1 = /Sub\s+(Auto_?Open|Document_Open|Workbook_Open|AutoExec)\s*\(/ nocase
        $run1 = "WScript.Shell" nocase
        $run2 = "Shell.Application" nocase
        $run3 = "URLDownloadToFile" nocase
        $run4 = /\bShell\s*\(?\s*"/ nocase
        $run5 = "winmgmts:" nocase
    condition:
        filesize < 5MB and $vba and $auto1 and any of ($run*)
}

rule Office_Remote_Template {
    meta:
        description = "Word settings that load a template from a server when the document opens"
        severity = "suspicious"
        threat = "Office.RemoteTemplate"
    strings:
        $type = "relationships/attachedTemplate"
        $url = /Target="(https?|ftp):\/\/[^"]{4,300}"/ nocase
        $mode = "TargetMode=\"External\""
    condition:
        filesize < 1MB and all of them
}

rule Office_External_OleObject {
    meta:
        description = "Relationship that loads an OLE object from a server (the way of CVE-2021-40444 and of Follina)"
        severity = "malicious"
        threat = "Exploit.Office.ExternalOle"
    strings:
        $type = "relationships/oleObject"
        $url = /Target="(mhtml:)?https?:\/\/[^"]{4,300}(!|x-usc:)[^"]{0,300}"/ nocase
        $mode = "TargetMode=\"External\""
    condition:
        filesize < 1MB and all of them
}

rule Office_DDE_Command {
    meta:
        description = "Field that starts a command interpreter by DDE"
        severity = "malicious"
        threat = "Exploit.Office.DDE"
    strings:
        $dde = /DDE(AUTO)?\s+"?[a-z]:\\{1,4}(windows|programs)[^<]{0,200}(cmd|powershell|mshta|rundll32)/ nocase
        $dde2 = /DDE(AUTO)?\s+"?(cmd|powershell|mshta)(\.exe)?"?\s/ nocase
        $xls = /=\s?(cmd|powershell|mshta|msexcel|rundll32)\|\s?'?\s?\/[ck]\s/ nocase
    condition:
        filesize < 20MB and any of them
}

rule Office_Ole_Package_Executable {
    meta:
        description = "OLE package with a program or script inside"
        severity = "suspicious"
        threat = "Office.PackagedProgram"
    strings:
        $native = { 01 00 4F 00 6C 00 65 00 31 00 30 00 4E 00 61 00 74 00 69 00 76 00 65 00 }
        $name = /[\x20-\x7e]{1,120}\.(exe|scr|vbs|vbe|js|jse|hta|bat|cmd|ps1|wsf|lnk|cpl)\x00/ nocase
        $path = /[A-Za-z]:\\[\x20-\x7e]{1,200}\.(exe|scr|vbs|vbe|js|jse|hta|bat|cmd|ps1|wsf|lnk|cpl)\x00/ nocase
    condition:
        uint32(0) == 0xE011CFD0 and $native and $name and $path
}

rule Excel4_Macro_Exec {
    meta:
        description = "Excel 4.0 macro sheet that starts a program"
        severity = "suspicious"
        threat = "Macro.Excel4.Exec"
    strings:
        $sheet = "<xm:macrosheet"
        $exec1 = />\s*(EXEC|CALL|REGISTER)\(/ nocase
        $exec2 = "urlmon" nocase
    condition:
        filesize < 5MB and $sheet and any of ($exec*)
}
