//go:build !linux

package embed

import (
	"errors"
	"os/exec"
)

var errConfined = errors.New("only Linux confines a program to a folder as it is done here")

func (n *Node) confine(*exec.Cmd) error { return errConfined }

func tie(*exec.Cmd) {}

// Confines says why this machine cannot confine services, or nil.
func Confines() error { return errConfined }
