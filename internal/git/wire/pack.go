package wire

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"

	"github.com/go-git/go-git/v5/plumbing/format/pktline"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/sideband"
)

const (
	agent       = "reconciler"
	maxReceived = 1<<30 + 64<<20 // bytes that come when a pack is asked for
	maxAcks     = 16             // lines before a pack
)

// order is a request for all that a commit needs beyond what is had, in protocol
// version 0: what comes back is an acknowledgement and the pack.
func order(want string, haves []string) ([]byte, error) {
	var out bytes.Buffer
	e := pktline.NewEncoder(&out)
	err := e.Encodef("want %s ofs-delta side-band-64k no-progress agent=%s\n", want, agent)
	err = errors.Join(err, e.Flush())
	for _, h := range haves {
		err = errors.Join(err, e.Encodef("have %s\n", h))
	}
	err = errors.Join(err, e.EncodeString("done\n"))
	return out.Bytes(), err
}

// receive reads what an order brings, and hands the pack on.
func receive(from io.Reader, to io.Writer) error {
	buffered := bufio.NewReader(&capped{from, maxReceived, fmt.Errorf("it sends more than %d MiB", maxReceived>>20)})
	for range maxAcks {
		ahead, err := buffered.Peek(7)
		if err == nil && !bytes.HasSuffix(ahead, []byte("NAK")) && !bytes.HasSuffix(ahead, []byte("ACK")) && !bytes.HasSuffix(ahead, []byte("ERR")) {
			break
		}
		line := pktline.NewScanner(buffered)
		if !line.Scan() {
			return errors.Join(line.Err(), errSurprise{"it ends before the pack"})
		}
	}
	if _, err := io.Copy(to, sideband.NewDemuxer(sideband.Sideband64k, buffered)); err != nil {
		return surprising(err)
	}
	return nil
}

// tame makes an error that may hold words of the server's fit for a line of ours:
// cut, and without what steers a terminal.
func tame(err error) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	if line, ok := errors.AsType[*pktline.ErrorLine](err); ok {
		text = "the server says: " + line.Text
	}
	shown := []rune(strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '·'
	}, strings.ToValidUTF8(text, "�")))
	if len(shown) > maxText {
		shown = append(shown[:maxText], '…')
	}
	return &told{err: err, text: string(shown), notOurs: strings.Contains(text, "not our ref")}
}

const maxText = 500 // runes of an error

// told is an error in words that may be shown.
type told struct {
	err     error
	text    string
	notOurs bool
}

func (t *told) Error() string { return t.text }
func (t *told) Unwrap() error { return t.err }

// NotOurs says that the server does not give what was asked for, since no ref
// stands at it.
func (t *told) NotOurs() bool { return t.notOurs }
