package ssh

import (
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/ssh"
)

// unread is the wire to a peer that neither reads nor says anything: what asks it hangs
// until it is cut.
type unread struct{ net.Conn }

func (u unread) hang() error {
	_, err := u.Read(make([]byte, 1))
	return err
}

// deaf is a connection over it, and asking is a channel that its peer opened.
type (
	deaf struct {
		ssh.Conn
		unread
	}
	asking struct {
		ssh.NewChannel
		unread
	}
)

func (d deaf) SendRequest(string, bool, []byte) (bool, []byte, error) { return false, nil, d.hang() }
func (d deaf) Close() error                                           { return d.unread.Close() }
func (a asking) Reject(ssh.RejectionReason, string) error             { return a.hang() }

// TestAPeerThatAsksAndDoesNotReadIsNoticed has our refusal hang as well as our question.
func TestAPeerThatAsksAndDoesNotReadIsNoticed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		defer theirs.Close()
		wire := &counted{Conn: ours}
		channels, requests := make(chan ssh.NewChannel), make(chan *ssh.Request)
		l := newLink(deaf{unread: unread{wire}}, channels, requests, wire, 1)
		channels <- asking{unread: unread{wire}}
		time.Sleep(2 * keepaliveInterval * keepaliveMisses)
		if !l.dead() || !strings.Contains(l.lost().Error(), "no answer to keepalives") {
			t.Errorf("it was not noticed: %v", l.lost())
		}
		close(channels)
		close(requests)
		<-l.done
		time.Sleep(2 * keepaliveInterval) // no timer asks any more
	})
}
