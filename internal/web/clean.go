package web

import (
	"reflect"
	"time"

	"github.com/vaultfleet/reconciler/internal/report"
)

// cleaned makes every text of a page's data harmless, so that no template can forget
// to. What it is given it leaves as it is: much of that is shared.
func cleaned(data any) any {
	v := reflect.New(reflect.TypeOf(data)).Elem()
	v.Set(clean(reflect.ValueOf(data)))
	return v.Interface()
}

func clean(v reflect.Value) reflect.Value {
	switch v.Kind() {
	case reflect.String:
		out := reflect.New(v.Type()).Elem()
		out.SetString(report.Clean(v.String()))
		return out
	case reflect.Struct:
		return cleanStruct(v)
	case reflect.Slice:
		if v.IsNil() {
			return v
		}
		out := reflect.MakeSlice(v.Type(), v.Len(), v.Len())
		for i := range v.Len() {
			out.Index(i).Set(clean(v.Index(i)))
		}
		return out
	case reflect.Map:
		if v.IsNil() {
			return v
		}
		out := reflect.MakeMapWithSize(v.Type(), v.Len())
		for _, k := range v.MapKeys() {
			out.SetMapIndex(clean(k), clean(v.MapIndex(k)))
		}
		return out
	case reflect.Pointer, reflect.Interface:
		return cleanBehind(v)
	}
	return v
}

func cleanBehind(v reflect.Value) reflect.Value {
	if v.IsNil() {
		return v
	}
	behind := clean(v.Elem())
	if v.Kind() == reflect.Interface {
		out := reflect.New(v.Type()).Elem()
		out.Set(behind)
		return out
	}
	out := reflect.New(v.Type().Elem())
	out.Elem().Set(behind)
	return out
}

// cleanStruct cleans the exported fields: a template sees no other.
func cleanStruct(v reflect.Value) reflect.Value {
	out := reflect.New(v.Type()).Elem()
	if v.Type() == reflect.TypeFor[time.Time]() {
		return v
	}
	for i := range v.NumField() {
		if v.Type().Field(i).IsExported() {
			out.Field(i).Set(clean(v.Field(i)))
		}
	}
	return out
}
