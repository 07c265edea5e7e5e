package release

import (
	"debug/elf"
	"debug/macho"
	"debug/pe"
	"encoding/binary"
	"fmt"
	"strings"
)

// What a binary is for stands in its first bytes, in one of three formats:
// ELF (elf(5)), PE (Microsoft's "PE Format"), Mach-O (Apple's mach-o/loader.h).
// They are read here and not by debug/elf and its kin, which want the whole file
// and are not made for hostile ones.

// headerBytes is how much of a binary tells; a PE file has its header behind a
// stub for DOS.
const headerBytes = 1024

// fits says whether the first bytes of a program are those of a platform's. A
// script around the binary is none.
func fits(head []byte, platform string) error {
	system, arch, _ := strings.Cut(platform, "_")
	var is bool
	switch system {
	case "windows":
		is = isPE(head, arch)
	case "darwin":
		is = isMachO(head, arch)
	case "linux", "freebsd", "netbsd", "openbsd", "solaris":
		is = isELF(head, system, arch)
	default:
		return fmt.Errorf("this release of reconciler does not know the programs of %s, only those of darwin, freebsd, linux, netbsd, openbsd, solaris and windows", platform)
	}
	if !is {
		return fmt.Errorf("it is not a program for %s; is the archive that of another platform?", platform)
	}
	return nil
}

func isELF(head []byte, system, arch string) bool {
	machines := map[string]elf.Machine{
		"386": elf.EM_386, "amd64": elf.EM_X86_64, "arm": elf.EM_ARM, "arm64": elf.EM_AARCH64,
		"ppc64le": elf.EM_PPC64, "s390x": elf.EM_S390,
	}
	want, known := machines[arch]
	if !known || len(head) < 20 || string(head[:4]) != elf.ELFMAG {
		return false
	}
	class, data := elf.ELFCLASS64, elf.ELFDATA2LSB
	var order binary.ByteOrder = binary.LittleEndian
	if arch == "386" || arch == "arm" {
		class = elf.ELFCLASS32
	}
	if arch == "s390x" {
		data, order = elf.ELFDATA2MSB, binary.BigEndian
	}
	abi := elf.OSABI(head[elf.EI_OSABI])
	kind := elf.Type(order.Uint16(head[16:]))
	return elf.Class(head[elf.EI_CLASS]) == class && elf.Data(head[elf.EI_DATA]) == data &&
		(system != "linux" || abi == elf.ELFOSABI_NONE || abi == elf.ELFOSABI_LINUX) &&
		(kind == elf.ET_EXEC || kind == elf.ET_DYN) &&
		elf.Machine(order.Uint16(head[18:])) == want
}

func isPE(head []byte, arch string) bool {
	machines := map[string]uint16{
		"386": pe.IMAGE_FILE_MACHINE_I386, "amd64": pe.IMAGE_FILE_MACHINE_AMD64, "arm64": pe.IMAGE_FILE_MACHINE_ARM64,
	}
	want, known := machines[arch]
	if !known || len(head) < 64 || string(head[:2]) != "MZ" {
		return false
	}
	at := uint64(binary.LittleEndian.Uint32(head[60:]))
	return at+6 <= uint64(len(head)) && string(head[at:at+4]) == "PE\x00\x00" &&
		binary.LittleEndian.Uint16(head[at+4:]) == want
}

func isMachO(head []byte, arch string) bool {
	machines := map[string]macho.Cpu{"amd64": macho.CpuAmd64, "arm64": macho.CpuArm64}
	want, known := machines[arch]
	return known && len(head) >= 16 && binary.LittleEndian.Uint32(head) == macho.Magic64 &&
		macho.Cpu(binary.LittleEndian.Uint32(head[4:])) == want &&
		macho.Type(binary.LittleEndian.Uint32(head[12:])) == macho.TypeExec
}
