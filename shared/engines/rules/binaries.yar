// Programs.
import "pe"
import "elf"

rule Credential_Dumper_Strings {
    meta:
        description = "Strings of mimikatz and its descendants"
        severity = "malicious"
        threat = "HackTool.CredentialDumper"
    strings:
        $a = "sekurlsa::logonpasswords" nocase wide ascii
        $b = "lsadump::sam" nocase wide ascii
        $c = "kerberos::golden" nocase wide ascii
        $d = "privilege::debug" nocase wide ascii
        $e = "gentilkiwi" nocase wide ascii
        $f = "mimikatz" nocase wide ascii
    condition:
        (uint16(0) == 0x5A4D and 2 of them) or (filesize < 500KB and 3 of ($a, $b, $c, $d) and $f)
}

rule Beacon_Configuration {
    meta:
        description = "Beacon of a known attack framework"
        severity = "malicious"
        threat = "Backdoor.Beacon"
    strings:
        $pipe1 = "\\\\.\\pipe\\msagent_" wide ascii
        $pipe2 = "%s as %s\\%s: %d"
        $pipe3 = "beacon.x64.dll"
        $pipe4 = "beacon.dll"
        $loader = "ReflectiveLoader"
        $sleep = "could not spawn %s (token): %d"
    condition:
        filesize < 10MB and 3 of them
}

rule Meterpreter_Stager {
    meta:
        description = "Windows machine code that finds functions by the hashes of a known framework"
        severity = "malicious"
        threat = "Backdoor.Stager"
    strings:
        $x86 = { FC E8 ( 82 | 89 | 8F ) 00 00 00 60 89 E5 31 ( C0 | D2 ) 64 8B ( 50 | 52 ) 30 8B 52 0C 8B 52 14 }
        $x64 = { FC 48 83 E4 F0 E8 ( C0 | C8 | CC ) 00 00 00 41 51 41 50 52 51 56 48 31 D2 65 48 8B 52 60 }
    condition:
        any of them
}

rule UPX_Tampered {
    meta:
        description = "Windows program packed by UPX whose marks were changed to hinder unpacking"
        severity = "suspicious"
        threat = "Packer.UPX.Tampered"
    condition:
        pe.is_pe and pe.number_of_sections >= 3 and pe.sections[0].raw_data_size == 0 and pe.sections[0].virtual_size > 0x10000
        and pe.sections[0].characteristics & 0xE0000000 == 0xE0000000 and pe.sections[1].characteristics & 0xE0000000 == 0xE0000000
        and not pe.sections[0].name startswith "UPX" and not pe.is_signed
        and pe.entry_point >= pe.sections[1].raw_data_offset and pe.entry_point < pe.sections[1].raw_data_offset + pe.sections[1].raw_data_size
        and uint8(pe.entry_point) == 0x60 and uint8(pe.entry_point + 1) == 0xBE
}

rule UPX_Packed {
    meta:
        description = "Program packed by UPX"
        severity = "informational"
    strings:
        $mark = "UPX!"
    condition:
        (uint16(0) == 0x5A4D and pe.is_pe and for any s in pe.sections : (s.name == "UPX1") and $mark) or (uint32(0) == 0x464C457F and $mark in (0..512))
}

rule ELF_IoT_Bot {
    meta:
        description = "Linux program with the strings of an IoT bot"
        severity = "malicious"
        threat = "Linux.Bot"
    strings:
        $a = "/dev/watchdog"
        $b = "/dev/misc/watchdog"
        $c = "busybox wget"
        $d = "/bin/busybox MIRAI"
        $e = "POST /cdn-cgi/"
        $f = "listening tun0"
        $g = "TSource Engine Query"
        $h = "/bin/busybox ECCHI"
        $i = "GETLOCALIP"
    condition:
        uint32(0) == 0x464C457F and filesize < 5MB and ($d or $h or 4 of them)
}

rule ELF_Preload_Rootkit {
    meta:
        description = "Linux library that hooks the C library to hide files and connections"
        severity = "suspicious"
        threat = "Linux.PreloadRootkit"
    strings:
        $pre = "/etc/ld.so.preload"
        $hook1 = "readdir64"
        $hook2 = "/proc/net/tcp"
        $hook3 = "pam_authenticate"
        $sym = "dlsym"
        $next = "unhide" nocase
        $accept = "accept"
    condition:
        uint32(0) == 0x464C457F and elf.type == elf.ET_DYN and filesize < 2MB and $pre and $sym and $hook1 and $hook2 and ($hook3 or $next) and $accept
}

rule ELF_Tiny_Loader {
    meta:
        description = "Linux program of a few hundred bytes that loads code over the network"
        severity = "suspicious"
        threat = "Linux.TinyLoader"
    strings:
        $socket64 = { 6A 29 58 ( 99 | 6A 02 ) }
        $mmap64 = { 6A 09 58 99 B6 10 48 89 D6 }
        $socket32 = { 31 DB F7 E3 53 43 53 6A 02 B0 66 89 E1 CD 80 }
    condition:
        uint32(0) == 0x464C457F and filesize < 2KB and any of them
}

rule Ransomware_Program {
    meta:
        description = "Windows program that removes backups and carries a ransom note"
        severity = "malicious"
        threat = "Ransom.Program"
    strings:
        $shadow1 = /vssadmin(\.exe)?\s+delete\s+shadows/ nocase wide ascii
        $shadow2 = /wmic(\.exe)?\s+shadowcopy\s+delete/ nocase wide ascii
        $note1 = /your (important )?(files|data|network)[^\r\n]{0,40}(have been|has been|are|were) (encrypted|locked)/ nocase
        $note2 = ".onion" nocase wide ascii
        $note3 = /(README|DECRYPT|RECOVER|RESTORE)[-_A-Z]{0,30}\.(txt|html|hta)/ nocase wide ascii
    condition:
        uint16(0) == 0x5A4D and filesize < 30MB and any of ($shadow*) and 2 of ($note*)
}

rule Jndi_Lookup_Attack {
    meta:
        description = "Text that makes a vulnerable Java logger load code (CVE-2021-44228)"
        severity = "suspicious"
        threat = "Exploit.JNDI"
    strings:
        $a = /\$\{(jndi|\$\{(lower|upper|::-)[^}]{1,6}\})[^}\r\n]{0,60}:(ldaps?|rmi|dns|iiop):\/\/[\w.-]{4,100}[:\/]/ nocase
    condition:
        filesize < 200KB and uint32(0) != 0x464C457F and $a
}
