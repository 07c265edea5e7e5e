package signature

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// parseOptions reads what stands before a key: NAME="VALUE", by commas, the
// names in either case. One that is unknown may be a restriction.
func parseOptions(list string, zone *time.Location) (options, error) {
	var o options
	for rest, more := list, true; more; {
		var name, value string
		var err error
		name, value, rest, more, err = cutOption(rest)
		if err != nil {
			return options{}, err
		}
		switch name {
		case "namespaces":
			err = o.setNamespaces(value)
		case "valid-after":
			err = setTime(&o.after, name, value, zone)
		case "valid-before":
			err = setTime(&o.before, name, value, zone)
		case "cert-authority":
			err = errors.New("the option cert-authority is not supported: SSH certificates are not verified; list the signers' own keys")
		default:
			err = fmt.Errorf("unknown option %.40q; there are namespaces, valid-after and valid-before", name)
		}
		if err != nil {
			return options{}, err
		}
	}
	if !o.after.IsZero() && !o.before.IsZero() && !o.before.After(o.after) {
		return options{}, errors.New("valid-before is not later than valid-after")
	}
	return o, nil
}

// cutOption takes the first option of a list. That there is more does not say
// that it is not empty.
func cutOption(list string) (name, value, rest string, more bool, err error) {
	i := strings.IndexAny(list, "=,")
	if i < 0 {
		return strings.ToLower(list), "", "", false, nil
	}
	name = strings.ToLower(list[:i])
	if list[i] == ',' {
		return name, "", list[i+1:], true, nil
	}
	value, rest, err = unquote(list[i+1:])
	if err != nil {
		return "", "", "", false, fmt.Errorf("the option %.40q: %w", name, err)
	}
	rest, more = strings.CutPrefix(rest, ",")
	if rest != "" && !more {
		return "", "", "", false, fmt.Errorf("the option %.40q goes on behind its quotes; put a comma between options", name)
	}
	return name, value, rest, more, nil
}

// unquote takes a quoted value. Only a quote can be escaped in it.
func unquote(text string) (value, rest string, err error) {
	text, found := strings.CutPrefix(text, `"`)
	if !found {
		return "", "", errors.New("its value is not quoted")
	}
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] == '\\' && strings.HasPrefix(text[i+1:], `"`):
			i++
		case text[i] == '"':
			return b.String(), text[i+1:], nil
		}
		b.WriteByte(text[i])
	}
	return "", "", errors.New("its value has no closing quote")
}

func (o *options) setNamespaces(value string) error {
	if value == "" || o.namespaces != nil {
		return errors.New(`namespaces is empty or given twice; write it once, as namespaces="git"`)
	}
	o.namespaces = &value
	return nil
}

// setTime reads YYYYMMDD, with HHMM or HHMMSS, and with Z for UTC.
func setTime(to *time.Time, name, value string, zone *time.Location) error {
	if !to.IsZero() {
		return fmt.Errorf("%s is given twice", name)
	}
	digits := strings.TrimSuffix(strings.TrimSuffix(strings.ToUpper(value), "Z"), "UTC")
	if len(digits) < len(value) {
		zone = time.UTC
	}
	layout, ok := map[int]string{8: "20060102", 12: "200601021504", 14: "20060102150405"}[len(digits)]
	t, err := time.ParseInLocation(layout, digits, zone)
	if !ok || err != nil || t.Unix() <= 0 {
		return fmt.Errorf(`%s=%.40q is no time; write it as %s="20260131" or "20260131235959Z"`, name, value, name)
	}
	*to = t
	return nil
}
