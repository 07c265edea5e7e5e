package simvault

import (
	"fmt"
	"strings"
	"time"
)

func number(v any) int {
	switch v := v.(type) {
	case float64:
		return int(v)
	case string:
		var n int
		_, _ = fmt.Sscan(v, &n) // what is no number is refused as 0
		return n
	}
	return 0
}

func seconds(v any) int {
	if text, ok := v.(string); ok {
		if d, err := time.ParseDuration(text); err == nil {
			return int(d.Seconds())
		}
	}
	return number(v)
}

// words are a list, or a text with commas.
func words(v any) []string {
	var out []string
	switch v := v.(type) {
	case string:
		out = strings.FieldsFunc(v, func(r rune) bool { return r == ',' })
	case []any:
		for _, w := range v {
			out = append(out, fmt.Sprint(w))
		}
	}
	return out
}

func asObject(v any) object {
	o, _ := v.(object)
	return o
}

func or(v, otherwise any) any {
	if v == nil {
		return otherwise
	}
	return v
}
