// Scripts: download cradles, droppers, reverse shells, ransom notes.

rule PowerShell_Encoded_Command {
    meta:
        description = "PowerShell started with an encoded command"
        severity = "suspicious"
        threat = "PowerShell.EncodedCommand"
    strings:
        $a = /powershell(\.exe)?["']?\s[^\r\n]{0,160}\s-(e|ec|en|enc|enco|encod|encode|encoded|encodedcommand)\s+["']?[A-Za-z0-9+\/]{60}/ nocase
        $w = /p\x00o\x00w\x00e\x00r\x00s\x00h\x00e\x00l\x00l\x00([^\r\n]\x00){0,120}-\x00e\x00(n\x00c\x00)?([a-z]\x00){0,12}\x20\x00([A-Za-z0-9+\/]\x00){60}/ nocase
    condition:
        any of them
}

rule PowerShell_Download_Cradle {
    meta:
        description = "PowerShell that runs what it downloads"
        severity = "suspicious"
        threat = "PowerShell.DownloadCradle"
    strings:
        $a = /(iex|invoke-expression)[\s\(\$&]{1,6}\(?\s*\(?(new-object)\s+(system\.)?net\.webclient\s*\)\s*\.\s*downloadstring/ nocase
        $b = /downloadstring\s*\([^\)\r\n]{4,300}\)\s*\)?\s*\|\s*(iex|invoke-expression)/ nocase
        $c = /(iwr|irm|invoke-webrequest|invoke-restmethod)\s[^\r\n|]{4,200}\|\s*(iex|invoke-expression)/ nocase
        $hidden1 = /-w(in(dowstyle)?)?\s+(hidden|1)\b/ nocase
        $hidden2 = /-(ep|exec|executionpolicy)\s+bypass/ nocase
        $hidden3 = /-no(p|ni|profile|ninteractive)\b/ nocase
    condition:
        filesize < 5MB and any of ($a, $b, $c) and any of ($hidden*)
}

rule PowerShell_Amsi_Bypass {
    meta:
        description = "PowerShell that switches off the malware scan interface"
        severity = "malicious"
        threat = "PowerShell.AmsiBypass"
    strings:
        $a = "System.Management.Automation.AmsiUtils" nocase
        $b = "amsiInitFailed" nocase
        $c = "SetValue(" nocase
    condition:
        filesize < 5MB and all of them
}

rule PowerShell_Memory_Injection {
    meta:
        description = "PowerShell that runs machine code in memory"
        severity = "suspicious"
        threat = "PowerShell.Inject"
    strings:
        $alloc = "VirtualAlloc" nocase
        $thread = "CreateThread" nocase
        $copy = "[System.Runtime.InteropServices.Marshal]::Copy" nocase
        $decode = "FromBase64String" nocase
        $ps = /(\[byte\[\]\]|\$\w{1,40}\s*=)/ nocase
    condition:
        filesize < 5MB and uint16(0) != 0x5A4D and uint32(0) != 0x464C457F and all of them
}

rule Script_Host_Dropper {
    meta:
        description = "Windows script that downloads, stores and runs a file"
        severity = "suspicious"
        threat = "Script.Dropper"
    strings:
        $http1 = "MSXML2.XMLHTTP" nocase
        $http2 = "WinHttp.WinHttpRequest" nocase
        $http3 = "MSXML2.ServerXMLHTTP" nocase
        $stream = "ADODB.Stream" nocase
        $save = "SaveToFile" nocase
        $run1 = "WScript.Shell" nocase
        $run2 = "Shell.Application" nocase
        $exec = /\.(Run|Exec|ShellExecute)\b/ nocase
    condition:
        filesize < 2MB and any of ($http*) and $stream and $save and any of ($run*) and $exec
}

rule HTA_Runs_Program {
    meta:
        description = "HTML application that starts an interpreter"
        severity = "suspicious"
        threat = "HTA.Runner"
    strings:
        $hta = "<hta:application" nocase
        $run = "WScript.Shell" nocase
        $what = /(powershell|cmd(\.exe)? \/c|mshta|rundll32|regsvr32|bitsadmin|certutil)/ nocase
    condition:
        filesize < 5MB and all of them
}

rule Html_Smuggling {
    meta:
        description = "HTML that builds an archive or program in the browser and saves it by itself"
        severity = "suspicious"
        threat = "HTML.Smuggling"
    strings:
        $blob = "new Blob(" nocase
        $url = "createObjectURL" nocase
        $click = ".click()"
        $name = /\.download\s*=\s*["'][^"']{1,120}\.(zip|iso|img|exe|hta|js|vbs|lnk|rar|7z)["']/ nocase
        $data = /(atob\(|["'])["']?(TVqQ|UEsDB|UmFyI|N3q8r)[A-Za-z0-9+\/]{200}/
    condition:
        filesize < 30MB and all of them
}

rule Reverse_Shell_One_Liner {
    meta:
        description = "Command that connects a shell to a remote host"
        severity = "suspicious"
        threat = "Script.ReverseShell"
    strings:
        $bash = /bash\s+-i\s+>&\s*\/dev\/tcp\/\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}\/\d{2,5}\s+0>&1/
        $exec = /exec\s+\d+<>\s*\/dev\/tcp\/\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}\/\d{2,5}/
        $nc = /(nc|ncat|netcat)\s+(-\w+\s+){0,3}-e\s+\/bin\/(ba)?sh\s+\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}\s+\d{2,5}/
        $fifo = /mkfifo\s+\/tmp\/\w{1,20}[^\r\n]{1,120}\/bin\/(ba)?sh\s+-i[^\r\n]{1,60}\b(nc|ncat|telnet)\s+\d{1,3}\./
        $python = /socket\.socket\([^\r\n]{0,80}\)[^\r\n]{0,80}\.connect\(\(["']\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}["'],\s*\d{2,5}\)\)[^\r\n]{0,160}os\.dup2/
        $perl = /perl\s+-e\s+'use Socket;\$i="\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}";\$p=\d{2,5}/
        $php = /php\s+-r\s+'\$sock=fsockopen\("\d{1,3}\./
        $ps = /New-Object\s+System\.Net\.Sockets\.TCPClient\(["']\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}["'],\s*\d{2,5}\)[^\r\n]{0,400}(iex|Invoke-Expression)/ nocase
    condition:
        filesize < 1MB and any of them
}

rule Shell_Dropper_To_Tmp {
    meta:
        description = "Shell script that downloads a program, makes it executable, runs it and removes the traces"
        severity = "suspicious"
        threat = "Linux.ShellDropper"
    strings:
        $get = /(wget|curl)\s[^\r\n]{0,120}https?:\/\/\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}[^\r\n]{0,120}/
        $mode = /chmod\s+(\+x|777|755)\s/
        $place = /cd\s+\/(tmp|var\/run|dev\/shm|var\/tmp|mnt)\b/
        $erase = /(rm\s+-rf?\s|history\s+-c)/
        $arch = /\.(mips|mpsl|arm[567]?|x86|ppc|sh4|m68k)\b/
    condition:
        filesize < 200KB and $get and $mode and $place and ($erase or $arch)
}

rule Miner_Configuration {
    meta:
        description = "Configuration or command line of a cryptocurrency miner"
        severity = "suspicious"
        threat = "Miner.Config"
    strings:
        $pool = /stratum\+(tcp|ssl|tls):\/\/[\w.-]{4,80}:\d{2,5}/
        $json1 = "\"donate-level\""
        $json2 = "\"pools\""
        $json3 = "\"randomx\""
        $json4 = "\"cryptonight\""
        $flag1 = "--donate-level"
        $flag2 = "--coin="
        $wallet = /["'\s=](4[0-9AB][1-9A-HJ-NP-Za-km-z]{93})["'\s.]/
    condition:
        filesize < 1MB and uint32(0) != 0x464C457F and uint16(0) != 0x5A4D and (($json1 and $json2 and 1 of ($json3, $json4, $pool)) or ($pool and 1 of ($flag*, $wallet)))
}

rule Ransom_Note {
    meta:
        description = "Text of a ransom note"
        severity = "suspicious"
        threat = "Ransom.Note"
    strings:
        $a = /(all )?(of )?your (important )?(files|documents|data|network)[^\r\n.]{0,60}(have been|has been|were|are) (encrypted|locked)/ nocase
        $b = /(buy|purchase|get)( the| our| a)? (special )?(decrypt(or|er|ion)|private key)/ nocase
        $c = /\b[a-z2-7]{56}\.onion\b/
        $d = /\b(bitcoin|btc|monero|xmr)\b/ nocase
        $e = /(tor browser|torproject\.org)/ nocase
        $f = /(do not|don't) (rename|modify|try to decrypt)/ nocase
    condition:
        filesize < 100KB and $a and 3 of ($b, $c, $d, $e, $f)
}

rule Shadow_Copy_Deletion_Script {
    meta:
        description = "Script that removes the backups of Windows, as ransomware does"
        severity = "suspicious"
        threat = "Ransom.ShadowCopy"
    strings:
        $a = /vssadmin(\.exe)?\s+delete\s+shadows\s+\/all/ nocase
        $b = /wmic(\.exe)?\s+shadowcopy\s+delete/ nocase
        $c = /bcdedit(\.exe)?\s+\/set\s+\{?default\}?\s+(recoveryenabled\s+no|bootstatuspolicy\s+ignoreallfailures)/ nocase
        $d = /wbadmin(\.exe)?\s+delete\s+(catalog|systemstatebackup)/ nocase
    condition:
        filesize < 20MB and 2 of them
}
