package notify

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"strings"
	"sync"
	"testing"

	"github.com/vaultfleet/reconciler/internal/throwaway"
)

// postOffice is a mail server. It demands what servers do: EHLO first, TLS before a
// login, a login before a mail.
type postOffice struct {
	address string
	pool    *throwaway.CA
	tls     *tls.Config

	mu       sync.Mutex
	noTLS    bool
	implicit bool
	auth     string            // what it offers; empty: nobody logs in
	refuse   map[string]string // recipient or command → what it says
	hang     string            // command after which it says nothing more
	hung     chan struct{}     // closed then
	drip     bool              // it greets without end
	mails    []letter
	seen     []string // commands
}

type letter struct {
	to   []string
	text string
	safe bool // it came over TLS
}

func newPostOffice(t testing.TB, change func(*postOffice)) *postOffice {
	ca, err := throwaway.NewCA()
	must(t, err)
	cert, key, err := ca.Issue("127.0.0.1")
	must(t, err)
	pair, err := tls.X509KeyPair(cert, key)
	must(t, err)
	p := &postOffice{pool: ca, tls: &tls.Config{Certificates: []tls.Certificate{pair}}, refuse: map[string]string{}, hung: make(chan struct{}), auth: "PLAIN LOGIN"}
	if change != nil {
		change(p)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	p.address = l.Addr().String()
	var all sync.WaitGroup
	var mu sync.Mutex
	var open []net.Conn
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open = append(open, c)
			mu.Unlock()
			all.Go(func() { defer c.Close(); p.serve(c) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		mu.Lock()
		for _, c := range open {
			c.Close()
		}
		mu.Unlock()
		all.Wait()
	})
	return p
}

func (p *postOffice) got() []letter {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]letter(nil), p.mails...)
}

func (p *postOffice) commands() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.seen, "\n")
}

func (p *postOffice) set(change func(*postOffice)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change(p)
}

func (p *postOffice) serve(c net.Conn) {
	safe, known := p.implicit, p.auth == ""
	if p.implicit {
		c = tls.Server(c, p.tls)
	}
	r := bufio.NewReader(c)
	say := func(lines ...string) { _, _ = io.WriteString(c, strings.Join(lines, "\r\n")+"\r\n") }
	if p.drip {
		for {
			if _, err := io.WriteString(c, "220-there is more to say\r\n"); err != nil {
				return
			}
		}
	}
	say("220 post.example.com ESMTP")
	var one letter
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimRight(line, "\r\n")
		verb, rest, _ := strings.Cut(line, " ")
		verb = strings.ToUpper(verb)
		p.mu.Lock()
		p.seen = append(p.seen, line)
		no, hang := p.refuse[verb], p.hang == verb
		if hang {
			close(p.hung)
		}
		p.mu.Unlock()
		if hang {
			_, _ = io.Copy(io.Discard, r)
			return
		}
		if no != "" && verb != "DATA" {
			say(no)
			continue
		}
		switch verb {
		case "EHLO":
			lines := []string{"250-post.example.com", "250-8BITMIME"}
			if !safe && !p.noTLS {
				lines = append(lines, "250-STARTTLS")
			}
			if p.auth != "" && (safe || p.noTLS) {
				lines = append(lines, "250-AUTH "+p.auth)
			}
			say(append(lines, "250 SIZE 1000000")...)
		case "STARTTLS":
			say("220 go on")
			c, safe = tls.Server(c, p.tls), true
			r = bufio.NewReader(c)
			say = func(lines ...string) { _, _ = io.WriteString(c, strings.Join(lines, "\r\n")+"\r\n") }
		case "AUTH":
			known = p.login(rest, r, say)
		case "MAIL":
			if !known {
				say("530 5.7.0 who are you?")
				continue
			}
			one = letter{safe: safe}
			say("250 ok")
		case "RCPT":
			address := strings.Trim(strings.TrimPrefix(rest, "TO:"), "<>")
			if no := p.said(address); no != "" {
				say(no)
				continue
			}
			one.to = append(one.to, address)
			say("250 ok")
		case "DATA":
			say("354 go on")
			var text strings.Builder
			for {
				line, err := r.ReadString('\n')
				if err != nil {
					return
				}
				if line == ".\r\n" {
					break
				}
				text.WriteString(strings.TrimPrefix(line, "."))
			}
			if no != "" {
				say(no)
				continue
			}
			one.text = text.String()
			p.set(func(p *postOffice) { p.mails = append(p.mails, one) })
			say("250 taken")
		case "RSET", "NOOP":
			say("250 ok")
		case "QUIT":
			say("221 bye")
			return
		default:
			say("500 what?")
		}
	}
}

func (p *postOffice) said(what string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.refuse[what]
}

// login takes the name rec and the password of the tests.
func (p *postOffice) login(rest string, r *bufio.Reader, say func(...string)) bool {
	way, first, _ := strings.Cut(rest, " ")
	plain, _ := base64.StdEncoding.DecodeString(first)
	ask := func(what string) string {
		say("334 " + base64.StdEncoding.EncodeToString([]byte(what)))
		line, _ := r.ReadString('\n')
		text, _ := base64.StdEncoding.DecodeString(strings.TrimSpace(line))
		return string(text)
	}
	ok := false
	switch way {
	case "PLAIN":
		ok = string(plain) == "\x00rec\x00"+password
	case "LOGIN":
		ok = ask("Username:") == "rec" && ask("Password:") == password
	}
	if !ok {
		say("535 5.7.8 not " + string(plain) + " " + first) // as a careless one would
		return false
	}
	say("235 welcome")
	return true
}

const password = `pass "\` + canary // what is quoted changes in it

func (p *postOffice) server() MailServer {
	return MailServer{
		Address: p.address, Security: StartTLS, Roots: p.pool.Pool, Username: "rec", Password: held(password + "\n"),
		From: mail.Address{Name: "Reconciler", Address: "reconciler@example.com"},
		To:   []mail.Address{{Address: "ops@example.com"}, {Name: "On call", Address: "oncall@example.com"}},
	}
}

func mailTo(t testing.TB, s MailServer) *Mail {
	m, err := NewMail(s)
	must(t, err)
	return m
}

func TestAMailIsTakenOverTLSByWhomeverWeLoggedInTo(t *testing.T) {
	for name, c := range map[string]struct {
		office func(*postOffice)
		server func(*MailServer)
	}{
		"starttls":     {nil, func(*MailServer) {}},
		"implicit":     {func(p *postOffice) { p.implicit = true }, func(s *MailServer) { s.Security = Implicit }},
		"LOGIN":        {func(p *postOffice) { p.auth = "LOGIN" }, func(*MailServer) {}},
		"nobody":       {func(p *postOffice) { p.auth = "" }, func(s *MailServer) { s.Username, s.Password = "", nil }},
		"none, nobody": {func(p *postOffice) { p.auth, p.noTLS = "", true }, func(s *MailServer) { s.Username, s.Password, s.Security = "", nil, Plain }},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPostOffice(t, c.office)
			s := p.server()
			c.server(&s)
			must(t, mailTo(t, s).Send(t.Context(), news("k")))
			got := p.got()
			if len(got) != 1 || strings.Join(got[0].to, " ") != "ops@example.com oncall@example.com" || got[0].safe == (s.Security == Plain) {
				t.Fatalf("%+v", got)
			}
			if strings.Contains(p.commands(), canary) {
				t.Errorf("the password is seen in %s", p.commands())
			}
		})
	}
}

func TestAMailHasBothTextsAndSaysWhatItIs(t *testing.T) {
	p := newPostOffice(t, nil)
	m := news("k")
	m.Title = "acme: 1 neue Abweichung für prod-eu"
	must(t, mailTo(t, p.server()).Send(t.Context(), m))
	must(t, mailTo(t, p.server()).Send(t.Context(), m))
	got := p.got()
	one, err := mail.ReadMessage(strings.NewReader(got[0].text))
	must(t, err)
	h := one.Header
	subject, err := new(mime.WordDecoder).DecodeHeader(h.Get("Subject"))
	must(t, err)
	for what, pair := range map[string][2]string{
		"subject": {subject, m.Title}, "id": {h.Get("Message-Id"), "<" + m.ID() + "@example.com>"}, "auto": {h.Get("Auto-Submitted"), "auto-generated"},
		"date": {h.Get("Date"), "Wed, 18 Nov 2026 10:00:00 +0000"}, "from": {h.Get("From"), `"Reconciler" <reconciler@example.com>`},
		"to": {h.Get("To"), `<ops@example.com>, "On call" <oncall@example.com>`},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s is %q, want %q", what, pair[0], pair[1])
		}
	}
	kind, params, err := mime.ParseMediaType(h.Get("Content-Type"))
	must(t, err)
	if kind != "multipart/alternative" {
		t.Errorf("it is %s", kind)
	}
	parts := multipart.NewReader(one.Body, params["boundary"])
	for _, want := range []string{
		"🔴 audit device: mode 0600 → 0644\r\nprod-eu eu-1 eu-2\r\n\r\n\r\nhttps://reconciler.internal/D-121",
		`<p>audit device: mode 0600 → 0644</p><p><a href="https://reconciler.internal/D-121">https://reconciler.internal/D-121</a></p>`,
	} {
		part, err := parts.NextRawPart()
		must(t, err)
		text, err := io.ReadAll(quotedprintable.NewReader(part))
		must(t, err)
		if !strings.Contains(string(text), want) {
			t.Errorf("a part is %q", text)
		}
	}
	again, err := mail.ReadMessage(strings.NewReader(got[1].text))
	must(t, err)
	if again.Header.Get("Message-Id") != h.Get("Message-Id") {
		t.Error("the same message has another ID the second time")
	}
}

func TestNoTitleAddsALineToAMail(t *testing.T) {
	p := newPostOffice(t, nil)
	m := news("k")
	m.Title = "x\r\nBcc: mallory@example.com\r\n\r\nbody\x00\u2028y\n." // past valid, on purpose
	m.Text = "x\r\n.\r\nMAIL FROM:<mallory@example.com>\r\n"
	m.HTML = ""
	must(t, mailTo(t, p.server()).Send(t.Context(), m))
	one, err := mail.ReadMessage(strings.NewReader(p.got()[0].text))
	must(t, err)
	if one.Header.Get("Bcc") != "" || strings.Contains(p.commands(), "mallory") || len(p.got()) != 1 {
		t.Errorf("%v\n%s", one.Header, p.commands())
	}
}

func TestAServerThatTakesNoMailIsToldWithoutThePassword(t *testing.T) {
	for name, c := range map[string]struct {
		office  func(*postOffice)
		server  func(*MailServer)
		says    string
		refused bool
	}{
		"no STARTTLS":        {func(p *postOffice) { p.noTLS = true }, nil, "does not offer STARTTLS", false},
		"another CA":         {nil, func(s *MailServer) { s.Roots = nil }, "give the file of its CA as `ca`", false},
		"another CA at once": {func(p *postOffice) { p.implicit = true }, func(s *MailServer) { s.Security, s.Roots = Implicit, nil }, "give the file of its CA as `ca`", false},
		"a wrong password":   {nil, func(s *MailServer) { s.Password = held("wrong " + canary) }, "does not take the username and password", false},
		"no login offered":   {func(p *postOffice) { p.auth = "CRAM-MD5" }, nil, `it offers "CRAM-MD5"`, false},
		"busy":               {func(p *postOffice) { p.refuse["MAIL"] = "451 4.3.0 later" }, nil, `451 "4.3.0 later"`, false},
		"no recipient": {func(p *postOffice) {
			p.refuse["ops@example.com"], p.refuse["oncall@example.com"] = "550 5.1.1 no such user", "550 5.1.1 nor this"
		}, nil, "takes no recipient", false},
		"too large":    {func(p *postOffice) { p.refuse["DATA"] = "552 5.3.4 too large" }, nil, "refuses the mail: 552", true},
		"greylisted":   {func(p *postOffice) { p.refuse["DATA"] = "450 4.2.0 again" }, nil, "does not take the mail: 450", false},
		"an echo":      {func(p *postOffice) { p.refuse["MAIL"] = "550 you are " + password + "\x1b[31m" }, nil, `550 "you are [redacted]`, false},
		"a flood":      {func(p *postOffice) { p.drip = true }, nil, "it says more than 1024 KiB", false},
		"nobody there": {nil, func(s *MailServer) { s.Address = "127.0.0.1:1" }, "mail through 127.0.0.1:1", false},
		"no password":  {nil, func(s *MailServer) { s.Username, s.Password = "", nil }, "530", false},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPostOffice(t, c.office)
			s := p.server()
			if c.server != nil {
				c.server(&s)
			}
			err := mailTo(t, s).Send(t.Context(), news("k"))
			says(t, err, "mail through", c.says)
			if isRefused(err) != c.refused || isPartly(err) || len(p.got()) != 0 || strings.ContainsRune(err.Error(), '\x1b') {
				t.Errorf("refused %v: %v; %d mails", isRefused(err), err, len(p.got()))
			}
		})
	}
}

func TestAMailReachesThoseWhomTheServerKnows(t *testing.T) {
	p := newPostOffice(t, func(p *postOffice) { p.refuse["ops@example.com"] = "550 5.1.1 no such user" })
	err := mailTo(t, p.server()).Send(t.Context(), news("k"))
	says(t, err, "does not take every recipient: ops@example.com: 550")
	if got := p.got(); !isPartly(err) || len(got) != 1 || strings.Join(got[0].to, " ") != "oncall@example.com" {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestAMailServerThatSaysNothingIsLeft(t *testing.T) {
	for _, after := range []string{"EHLO", "AUTH", "RCPT", "DATA"} {
		p := newPostOffice(t, func(p *postOffice) { p.hang = after })
		ctx, cancel := context.WithCancelCause(t.Context())
		sent := make(chan error, 1)
		go func() { sent <- mailTo(t, p.server()).Send(ctx, news("k")) }()
		select {
		case <-p.hung:
		case err := <-sent:
			t.Fatal(err)
		}
		cancel(errors.New("enough"))
		says(t, <-sent, "mail through "+p.address+": enough")
	}
}

func TestAMailThatWasTakenIsSentThoughTheServerHangsThen(t *testing.T) {
	p := newPostOffice(t, func(p *postOffice) { p.hang = "QUIT" })
	ctx, cancel := context.WithCancel(t.Context())
	sent := make(chan error, 1)
	go func() { sent <- mailTo(t, p.server()).Send(ctx, news("k")) }()
	<-p.hung
	cancel()
	must(t, <-sent)
}

func TestAMailServerIsReachedSafelyOrOnThisMachine(t *testing.T) {
	good := MailServer{Address: "smtp.internal:587", Security: StartTLS, From: mail.Address{Address: "a@b"}, To: []mail.Address{{Address: "c@d"}}}
	for want, change := range map[string]func(*MailServer){
		"HOST:PORT":                  func(s *MailServer) { s.Address = "smtp.internal" },
		"is no way to reach":         func(s *MailServer) { s.Security = "" },
		"own addresses alone":        func(s *MailServer) { s.Security = Plain },
		"from nobody, or to nobody":  func(s *MailServer) { s.To = nil },
		"a username needs a passwor": func(s *MailServer) { s.Username = "rec" },
	} {
		s := good
		change(&s)
		_, err := NewMail(s)
		says(t, err, want)
	}
	if _, err := NewMail(good); err != nil {
		t.Error(err)
	}
}
