package notify

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"html"
	"net"
	"net/mail"
	"net/textproto"
	"os"
	"slices"
	"strings"
	"time"

	gomail "github.com/wneessen/go-mail"
	"github.com/wneessen/go-mail/smtp"

	"github.com/vaultfleet/reconciler/internal/secret"
)

// Security is how a mail server is reached.
type Security string

// The ways to reach one. Plain is for this machine's own addresses alone.
const (
	StartTLS Security = "starttls"
	Implicit Security = "implicit"
	Plain    Security = "none"
)

// MailServer is who takes mails from us, and whose they are.
type MailServer struct {
	Address  string // host:port
	Security Security
	Roots    *x509.CertPool // of its certificate; nil: this machine's
	Username string         // empty: nobody in particular
	// Password is read for each mail.
	Password func() (secret.Bytes, error)
	From     mail.Address
	To       []mail.Address
}

// Mail sends messages as mails, through one server.
type Mail struct{ MailServer }

// NewMail does not connect yet.
func NewMail(s MailServer) (*Mail, error) {
	host, _, err := net.SplitHostPort(s.Address)
	switch {
	case err != nil || host == "":
		return nil, errors.New("the mail server is not given as HOST:PORT")
	case s.Security != StartTLS && s.Security != Implicit && s.Security != Plain:
		return nil, fmt.Errorf("%q is no way to reach a mail server", s.Security)
	case s.Security == Plain && !isLoopback(host):
		return nil, errors.New("without TLS mails go to this machine's own addresses alone")
	case s.From.Address == "" || len(s.To) == 0:
		return nil, errors.New("mails are from nobody, or to nobody")
	case (s.Username == "") != (s.Password == nil):
		return nil, errors.New("a username needs a password, and a password a username")
	}
	return &Mail{s}, nil
}

// Send has the server take one mail. It is taken for those whom the server accepts; of
// the others a [*PartlyError] tells.
func (s *Mail) Send(ctx context.Context, m Message) error {
	host, _, _ := net.SplitHostPort(s.Address)
	var password string
	if s.Password != nil {
		held, err := s.Password()
		if err != nil {
			return fmt.Errorf("read the password of the mail server: %w", err)
		}
		password = strings.TrimRight(string(held.Reveal()), "\r\n")
	}
	ctx, end := context.WithTimeoutCause(ctx, longest, fmt.Errorf("it takes longer than %v", longest))
	defer end()
	err := s.talk(ctx, host, password, m)
	if err == nil {
		return nil
	}
	_, refused := errors.AsType[*RefusedError](err)
	_, partly := errors.AsType[*PartlyError](err)
	if cause := context.Cause(ctx); cause != nil && !refused && !partly {
		err = cause // the connection was closed for it
	}
	err = fmt.Errorf("mail through %s: %s", s.Address, without(shown(err.Error()), password))
	switch {
	case refused:
		return &RefusedError{err}
	case partly:
		return &PartlyError{err}
	}
	return err
}

// talk is one conversation with the server.
func (s *Mail) talk(ctx context.Context, host, password string, m Message) error {
	conn, err := s.dial(ctx, host)
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { conn.Close() })() // a server that says nothing, or little at a time
	defer conn.Close()
	c, err := smtp.NewClient(conn, host)
	if err != nil {
		return err
	}
	if err := s.enter(c, host, password); err != nil {
		return err
	}
	err = s.hand(c, s.letter(m))
	_ = conn.SetDeadline(time.Now().Add(goodbye))
	_ = c.Quit() // it has the mail, or has said why not
	return err
}

func (s *Mail) dial(ctx context.Context, host string) (net.Conn, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", s.Address)
	if err != nil {
		return nil, err
	}
	conn = &listening{conn, maxTalk}
	if s.Security != Implicit {
		return conn, nil
	}
	safe := tls.Client(conn, s.tls(host))
	if err := safe.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, tlsError(err)
	}
	return safe, nil
}

const (
	maxTalk = 1 << 20         // bytes that a mail server may say in one conversation
	goodbye = 5 * time.Second // that it has to answer a QUIT, which changes nothing
)

// listening is a connection over which not more than so much is heard.
type listening struct {
	net.Conn
	left int
}

func (l *listening) Read(p []byte) (int, error) {
	if l.left <= 0 {
		return 0, fmt.Errorf("it says more than %d KiB", maxTalk>>10)
	}
	n, err := l.Conn.Read(p[:min(len(p), l.left)])
	l.left -= n
	return n, err
}

// tlsError is why there is no TLS, with a way out where the CA is not known.
func tlsError(err error) error {
	if _, unknown := errors.AsType[x509.UnknownAuthorityError](err); unknown {
		return fmt.Errorf("%w; give the file of its CA as `ca`", err)
	}
	return fmt.Errorf("it does not come to TLS: %w", err)
}

func (s *Mail) tls(host string) *tls.Config {
	return &tls.Config{ServerName: host, RootCAs: s.Roots, MinVersion: tls.VersionTLS12}
}

// enter gets as far as the server takes mails from us.
func (s *Mail) enter(c *smtp.Client, host, password string) error {
	name, err := os.Hostname()
	if err != nil || name == "" {
		name = "localhost"
	}
	if err := c.Hello(name); err != nil {
		return fmt.Errorf("it does not greet: %w", err)
	}
	if s.Security == StartTLS {
		if has, _ := c.Extension("STARTTLS"); !has {
			return errors.New("it does not offer STARTTLS, and what is not encrypted is not sent; use tls: implicit if it has a port for that")
		}
		if err := c.StartTLS(s.tls(host)); err != nil {
			return tlsError(err)
		}
	}
	if s.Username == "" {
		return nil
	}
	auth, err := s.login(c, host, password)
	if err == nil && c.Auth(auth) != nil { // what it says to a password is not repeated
		err = errors.New("it does not take the username and password")
	}
	return err
}

// login is how we say who we are: in the best way that the server has.
func (s *Mail) login(c *smtp.Client, host, password string) (smtp.Auth, error) {
	_, ways := c.Extension("AUTH")
	offered := strings.Fields(strings.ToUpper(ways))
	for _, way := range []struct {
		name string
		auth smtp.Auth
	}{
		{"SCRAM-SHA-256", smtp.ScramSHA256Auth(s.Username, password)},
		{"PLAIN", smtp.PlainAuth("", s.Username, password, host, false)},
		{"LOGIN", smtp.LoginAuth(s.Username, password, host, false)},
	} {
		if slices.Contains(offered, way.name) {
			return way.auth, nil
		}
	}
	return nil, fmt.Errorf("it takes no username and password in a way that is known here; it offers %q", shown(ways))
}

// hand gives the mail to the server, for all recipients whom it accepts.
func (s *Mail) hand(c *smtp.Client, letter *gomail.Msg) error {
	if err := c.Mail(s.From.Address); err != nil {
		return fmt.Errorf("it takes no mail from %s: %w", s.From.Address, err)
	}
	var refused []error
	for _, to := range s.To {
		if err := c.Rcpt(to.Address); err != nil {
			refused = append(refused, fmt.Errorf("%s: %w", to.Address, err))
			if _, answered := errors.AsType[*textproto.Error](err); !answered {
				return err // nothing more will come over this connection
			}
		}
	}
	if len(refused) == len(s.To) {
		return fmt.Errorf("it takes no recipient: %w", errors.Join(refused...))
	}
	w, err := c.Data()
	if err != nil {
		return fmt.Errorf("it takes no content: %w", err)
	}
	if _, err := letter.WriteTo(w); err != nil {
		return fmt.Errorf("the connection ended amid the mail: %w", err)
	}
	if err := w.Close(); err != nil {
		if no, ok := errors.AsType[*textproto.Error](err); ok && no.Code/100 == 5 {
			return &RefusedError{fmt.Errorf("it refuses the mail: %w", err)}
		}
		return fmt.Errorf("it does not take the mail: %w", err)
	}
	if len(refused) > 0 {
		return &PartlyError{fmt.Errorf("it does not take every recipient: %w", errors.Join(refused...))}
	}
	return nil
}

// letter is the message as a mail. That a program wrote it is said as RFC 3834 has it,
// so that no absence notice answers.
func (s *Mail) letter(m Message) *gomail.Msg {
	l := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	l.FromMailAddress(&s.From)
	for i := range s.To {
		l.AddToMailAddress(&s.To[i])
	}
	l.Subject(oneLine(m.Title))
	l.SetDateWithValue(m.At.In(time.UTC))
	_, domain, _ := strings.Cut(s.From.Address, "@")
	l.SetMessageIDWithValue(m.ID() + "@" + domain)
	l.SetGenHeader("Auto-Submitted", "auto-generated")
	text := m.Text
	if m.Link != "" {
		text += "\n\n" + m.Link + "\n"
	}
	l.SetBodyString(gomail.TypeTextPlain, text)
	if m.HTML != "" {
		l.AddAlternativeString(gomail.TypeTextHTML, linked(m.HTML, m.Link))
	}
	return l
}

// linked is a page whose last line leads to more.
func linked(page, link string) string {
	if link == "" {
		return page
	}
	link = html.EscapeString(link)
	return strings.TrimSuffix(strings.TrimSpace(page), "</html>") + `<p><a href="` + link + `">` + link + "</a></p>\n</html>\n"
}
