package git

import "strings"

// isGits says that a name is one of git's own folder, on this file system or on another:
// what no checkout may hold, since whoever makes one would run what it configures. HFS+
// leaves some characters out, NTFS has short names and streams, and blanks and dots at
// the end are nothing to it (git's utf8.c, is_hfs_dotgit, and path.c, is_ntfs_dotgit).
func isGits(name string) bool {
	hfs := strings.Map(func(r rune) rune {
		switch {
		case 0x200c <= r && r <= 0x200f, 0x202a <= r && r <= 0x202e, 0x206a <= r && r <= 0x206f, r == 0xfeff:
			return -1
		}
		return r
	}, name)
	ntfs, _, _ := strings.Cut(name, ":")
	ntfs = strings.TrimRight(ntfs, " .")
	return strings.EqualFold(hfs, ".git") || strings.EqualFold(ntfs, ".git") || strings.EqualFold(ntfs, "git~1")
}
