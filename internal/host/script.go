package host

import (
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"strings"
)

// script is the node script as it is installed.
//
//go:embed node.sh
var script string

// ScriptPath is where the node script is installed.
const ScriptPath = "/usr/local/libexec/reconciler-node"

// SudoersLine is what an operator grants the account that we log in with.
const SudoersLine = "ALL=(root) NOPASSWD: " + ScriptPath

// Script returns the node script, to install by other means, and its digest.
func Script() (text, digest string) {
	return script, scriptDigest()
}

func scriptDigest() string {
	sum := sha256.Sum256([]byte(script))
	return "sha256:" + hex.EncodeToString(sum[:])
}

// frontier ends the part of the script that only reads.
const frontier = "# ======== Everything above only reads."

// travelling is the part of the script that only reads, without its comments
// and indentation: it fits into few packets, and goes into the command itself,
// which saves the round trip that standard input would cost.
func travelling() string {
	reads, _, _ := strings.Cut(script, frontier)
	var b strings.Builder
	for line := range strings.Lines(reads) {
		line = strings.TrimLeft(line, "\t")
		if line == "\n" || strings.HasPrefix(line, "#") {
			continue
		}
		b.WriteString(line)
	}
	return b.String()
}

// quote makes one word of s for any POSIX shell.
func quote(s string) string {
	if s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._@:,+-=") == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

func quoted(words []string) string {
	var b strings.Builder
	for _, w := range words {
		b.WriteByte(' ')
		b.WriteString(quote(w))
	}
	return b.String()
}

// rung is a way to run the script on a node, best first.
type rung int

const (
	rungInstalled rung = iota // the installed script, as root
	rungRoot                  // its reading part travels, as root
	rungPlain                 // its reading part travels, without root
)

// command is the command line that runs the script's verb by this rung.
func (r rung) command(user string, words []string) string {
	sudo := "sudo -n "
	if user == "root" || r == rungPlain {
		sudo = ""
	}
	if r == rungInstalled {
		return sudo + ScriptPath + quoted(words)
	}
	return sudo + "/bin/sh -c " + quote(travelling()) + " reconciler-node" + quoted(words)
}
