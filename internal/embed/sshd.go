package embed

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"
)

// sessionsMost is OpenSSH's MaxSessions.
const sessionsMost = 10

// sshd is the SSH server of a node: one account by its key, commands in a
// shell, tunnels to loopback. There are no terminals and no file transfers.
type sshd struct {
	node   *Node
	config *ssh.ServerConfig
}

func config(host ssh.Signer, login ssh.PublicKey) *ssh.ServerConfig {
	c := &ssh.ServerConfig{PublicKeyCallback: func(who ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		if who.User() == Account && bytes.Equal(key.Marshal(), login.Marshal()) {
			return nil, nil
		}
		return nil, errors.New("not this key")
	}}
	c.AddHostKey(host)
	return c
}

func (s *sshd) serve(wire net.Conn) {
	stop := context.AfterFunc(s.node.ctx, func() { wire.Close() })
	defer stop()
	defer wire.Close()
	_ = wire.SetDeadline(time.Now().Add(30 * time.Second)) // LoginGraceTime; a closed connection fails anyway
	conn, channels, requests, err := ssh.NewServerConn(wire, s.config)
	if err != nil {
		return
	}
	_ = wire.SetDeadline(time.Time{})
	var open sync.WaitGroup
	defer open.Wait()
	defer conn.Close()
	open.Go(func() { s.global(requests) })
	slots := make(chan struct{}, sessionsMost)
	for c := range channels {
		switch c.ChannelType() {
		case "session":
			select {
			case slots <- struct{}{}:
				open.Go(func() { s.session(c); <-slots })
			default:
				_ = c.Reject(ssh.ResourceShortage, "open failed") // whoever is gone needs no answer
			}
		case "direct-tcpip":
			open.Go(func() { s.tunnel(c) })
		default:
			_ = c.Reject(ssh.UnknownChannelType, "unknown channel type")
		}
	}
}

// global answers what is asked of the connection: it lives, and that is all.
func (s *sshd) global(requests <-chan *ssh.Request) {
	for r := range requests {
		if r.WantReply {
			_ = r.Reply(false, nil) // the connection may be over
		}
	}
}

// session runs one command. As with OpenSSH, a command whose connection is lost
// goes on without anybody to listen.
func (s *sshd) session(n ssh.NewChannel) {
	channel, requests, err := n.Accept()
	if err != nil {
		return
	}
	defer channel.Close()
	for r := range requests {
		var asked struct{ Command string }
		if r.Type != "exec" || ssh.Unmarshal(r.Payload, &asked) != nil {
			_ = r.Reply(false, nil)
			continue
		}
		_ = r.Reply(true, nil)
		go ssh.DiscardRequests(requests)
		s.exec(channel, asked.Command)
		return
	}
}

func (s *sshd) exec(channel ssh.Channel, command string) {
	cmd, begun, err := s.node.shell(command)
	if err != nil {
		fmt.Fprintln(channel.Stderr(), err)
		return
	}
	cmd.Stdout, cmd.Stderr = channel, channel.Stderr()
	cmd.WaitDelay = 10 * time.Second // what the command leaves behind may hold its output open
	stdin, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	begun()
	if err == nil {
		go func() { // until the channel is closed: what the command does not read is nobody's
			_, _ = io.Copy(stdin, channel)
			stdin.Close()
		}()
		err = cmd.Wait()
	}
	if s.node.ctx.Err() != nil {
		return // a machine without power says nothing
	}
	request, payload := "exit-status", ssh.Marshal(struct{ Status uint32 }{255})
	if cmd.ProcessState == nil {
		fmt.Fprintln(channel.Stderr(), err) // it did not even begin
	} else if ended, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && ended.Signaled() {
		request, payload = "exit-signal", ssh.Marshal(struct {
			Signal         string
			Core           bool
			Text, Language string
		}{Signal: strings.TrimPrefix(unix.SignalName(ended.Signal()), "SIG")})
	} else {
		payload = ssh.Marshal(struct{ Status uint32 }{uint32(cmd.ProcessState.ExitCode())})
	}
	_, _ = channel.SendRequest(request, false, payload) // nobody may listen any more
}

// tunnel connects to an address of loopback.
func (s *sshd) tunnel(n ssh.NewChannel) {
	var to struct {
		Host  string
		Port  uint32
		From  string
		FromP uint32
	}
	if err := ssh.Unmarshal(n.ExtraData(), &to); err != nil {
		_ = n.Reject(ssh.ConnectionFailed, "malformed")
		return
	}
	if ip := net.ParseIP(to.Host); ip == nil || !ip.IsLoopback() {
		_ = n.Reject(ssh.Prohibited, "open failed")
		return
	}
	var d net.Dialer
	target, err := d.DialContext(s.node.ctx, "tcp", net.JoinHostPort(to.Host, strconv.Itoa(int(to.Port))))
	if err != nil {
		_ = n.Reject(ssh.ConnectionFailed, "connect failed ("+cause(err)+")")
		return
	}
	defer target.Close()
	channel, requests, err := n.Accept()
	if err != nil {
		return
	}
	defer channel.Close()
	go ssh.DiscardRequests(requests)
	stop := context.AfterFunc(s.node.ctx, func() { target.Close() })
	defer stop()
	var both sync.WaitGroup
	both.Go(func() {
		_, _ = io.Copy(target, channel) // either side may end it
		_ = target.(*net.TCPConn).CloseWrite()
	})
	both.Go(func() {
		_, _ = io.Copy(channel, target)
		_ = channel.CloseWrite()
	})
	both.Wait()
}

// cause is the system's own word for why there is no connection, as OpenSSH
// passes it on.
func cause(err error) string {
	for next := err; next != nil; next = errors.Unwrap(next) {
		err = next
	}
	return err.Error()
}
