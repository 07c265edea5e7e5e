package forge

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

const maxDescription = 140 // characters of a status (GitHub's REST API, "Create a commit status")

// clean is foreign text as it goes on.
func clean(text string) string { return strings.ToValidUTF8(text, "�") }

// isHash says that a text is a commit as git names it, of SHA-1 or SHA-256.
func isHash(text string) bool {
	return (len(text) == 40 || len(text) == 64) && strings.Trim(text, "0123456789abcdef") == ""
}

// isFork says that a pull request comes from another repository than it goes to. One
// that is gone, and has no number, was another one.
func isFork(from, to int64) bool { return from == 0 || from != to }

// isName says that a text can be a login, or the name of a repository, a team or a
// group, and that it stays one piece of a path.
func isName(text string) bool {
	text = strings.TrimSuffix(text, "[bot]")
	if text == "" || len(text) > 255 || strings.Trim(text, ".") == "" {
		return false
	}
	return !strings.ContainsFunc(text, func(r rune) bool {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
		return !letter && r != '-' && r != '_' && r != '.'
	})
}

func checkCommit(commit string) error {
	if !isHash(commit) {
		return fmt.Errorf("%s is not a commit's full hash", quoted(commit))
	}
	return nil
}

func checkNumber(number int) error {
	if number <= 0 {
		return fmt.Errorf("%d is no number of a pull request", number)
	}
	return nil
}

func checkComment(number int, id int64) error {
	if id <= 0 {
		return fmt.Errorf("%d is no number of a comment", id)
	}
	return checkNumber(number)
}

func checkUser(user string) error {
	if !isName(user) {
		return fmt.Errorf("%s is no login", quoted(user))
	}
	return nil
}

func checkTeam(team string) error {
	parts := strings.Split(team, "/")
	for i, part := range parts {
		if !isName(part) && !(i > 0 && isTeamName(part)) {
			return fmt.Errorf("%s is no team; give it as org/team", quoted(team))
		}
	}
	return nil
}

// isTeamName is as isName, and there may be spaces between words, as on Gitea.
func isTeamName(text string) bool {
	return isName(strings.ReplaceAll(text, " ", "-")) && text == strings.TrimSpace(text)
}

// valid is a pull request as it may go on.
func (p Pull) valid() (Pull, error) {
	if p.Number <= 0 {
		return Pull{}, fmt.Errorf("it tells of pull request %d", p.Number)
	}
	for what, hash := range map[string]string{"head": p.Head, "base": p.Base, "merge": p.MergedCommit} {
		if !isHash(hash) && (hash != "" || what == "head") {
			return Pull{}, fmt.Errorf("it tells of pull request %d, and its %s is %s and not a commit", p.Number, what, quoted(hash))
		}
	}
	for _, text := range []*string{&p.Title, &p.Author, &p.URL, &p.HeadRef, &p.BaseRef} {
		*text = clean(*text)
	}
	return p, nil
}

func (c Comment) valid() (Comment, error) {
	if c.ID <= 0 {
		return Comment{}, fmt.Errorf("it tells of comment %d", c.ID)
	}
	c.Author, c.Body, c.URL = clean(c.Author), clean(c.Body), clean(c.URL)
	return c, nil
}

// valid is a status as every forge takes it.
func (s Status) valid() (Status, error) {
	switch s.State {
	case Pending, Success, Failure, Error:
	default:
		return Status{}, fmt.Errorf("%s is no state of a commit", quoted(string(s.State)))
	}
	if s.Context == "" {
		return Status{}, errors.New("a status has no context")
	}
	s.Description = clean(s.Description)
	if utf8.RuneCountInString(s.Description) > maxDescription {
		s.Description = string([]rune(s.Description)[:maxDescription-1]) + "…"
	}
	return s, nil
}

func checkReaction(with Reaction) error {
	switch with {
	case Eyes, Rocket, Down:
		return nil
	}
	return fmt.Errorf("%s is no reaction", quoted(string(with)))
}
