package desired

// Layers are merged before placeholders are expanded. Maps merge key by key;
// lists whose items have an identity (nodes, files, audit devices, listeners)
// merge item by item; every other list is replaced whole, and so is a storage
// or a seal of another kind. A written null takes away what was inherited.

// merger lays one layer over another.
type merger struct {
	problems []Problem
}

func (m *merger) fail(place Place, text, hint string) {
	m.problems = append(m.problems, Problem{Place: place, Severity: SeverityError, Text: text, Hint: hint})
}

// merge lays over on base; each may be nil. The outcome shares with both what
// it takes whole.
func (m *merger) merge(s *schema, base, over *value) *value {
	switch {
	case over == nil:
		return base
	case over.kind == kindNull:
		name := "the value"
		if s != nil {
			name = "`" + s.path + "`"
		}
		if base == nil || base.builtIn() {
			m.fail(over.place, name+" is null, and there is nothing inherited that it could take away", "write a value, or remove the key")
		}
		return nil
	case s != nil && s.form == formNodes:
		return over // each node is laid over the cluster later, when that is whole
	case over.kind == kindMap:
		return m.mergeMap(s, base, over)
	case over.kind == kindList && s != nil && s.identity != "":
		return m.mergeItems(s, base, over)
	}
	return over
}

func (m *merger) mergeMap(s *schema, base, over *value) *value {
	if base == nil || base.kind != kindMap || s != nil && s.form == formKind && otherKind(base, over) {
		base = &value{kind: kindMap, place: over.place}
	}
	out := &value{kind: kindMap, place: over.place, fields: make([]field, 0, len(base.fields)+len(over.fields))}
	for _, f := range base.fields {
		if over.child(f.name) == nil {
			out.fields = append(out.fields, f)
		}
	}
	for _, f := range over.fields {
		child := s.child(f.name)
		if merged := m.merge(child, base.child(f.name), f.value); merged != nil {
			out.fields = append(out.fields, field{f.name, f.place, merged})
		}
	}
	return out
}

func otherKind(base, over *value) bool {
	was, _ := base.only()
	is, _ := over.only()
	return was != is
}

func (m *merger) mergeItems(s *schema, base, over *value) *value {
	out := &value{kind: kindList, place: over.place}
	changes := make(map[string]*value, len(over.items))
	for _, item := range over.items {
		if id := identity(s, item); id != "" {
			changes[id] = item
		}
	}
	inherited := map[string]bool{}
	if base != nil && base.kind == kindList {
		for _, item := range base.items {
			id := identity(s, item)
			inherited[id] = true
			change, changed := changes[id]
			switch {
			case !changed:
				out.items = append(out.items, item)
			case !change.flag(removeKey):
				out.items = append(out.items, m.merge(s.item, item, change))
			}
		}
	}
	for _, item := range over.items {
		id := identity(s, item)
		switch {
		case id != "" && inherited[id]:
		case item.flag(removeKey):
			m.fail(item.place, "`remove: true` for "+s.path+" item "+printable(id)+", which no layer below has", "remove the item here as well")
		default:
			out.items = append(out.items, m.merge(s.item, nil, item))
		}
	}
	return out
}

// fill writes the built-in defaults into what no layer has written.
func fill(s *schema, v *value) *value {
	switch s.form {
	case formList:
		return fillItems(s, v)
	case formMap, formOpen, formKind:
	default:
		return v
	}
	for _, c := range s.children {
		was := v.child(c.name())
		if was == nil && (s.form == formKind || !hasDefaults(c)) || c.form == formNodes || c.layers == string(layerFleet) {
			continue
		}
		var filled *value
		switch {
		case was != nil:
			filled = fill(c, was)
		case c.def != "":
			filled = defaultOf(c)
		default:
			filled = fill(c, &value{kind: kindMap})
		}
		if filled != was {
			v = v.with(c.name(), Place{}, filled)
		}
	}
	return v
}

func fillItems(s *schema, v *value) *value {
	out := v
	for i, item := range v.items {
		filled := fill(s.item, item)
		if filled == item {
			continue
		}
		if out == v {
			out = &value{kind: v.kind, place: v.place, items: append([]*value(nil), v.items...)}
		}
		out.items[i] = filled
	}
	return out
}

// hasDefaults says that a key, or one below it that would be made with it, has
// a default.
func hasDefaults(s *schema) bool {
	if s.def != "" {
		return true
	}
	if s.form != formMap {
		return false
	}
	for _, c := range s.children {
		if hasDefaults(c) {
			return true
		}
	}
	return false
}

func defaultOf(s *schema) *value {
	switch s.form {
	case formNumber:
		return &value{kind: kindInteger, text: s.def}
	case formList:
		list := &value{kind: kindList}
		for _, name := range s.item.choices {
			list.items = append(list.items, &value{kind: kindText, text: name})
		}
		return list
	}
	return &value{kind: kindText, text: s.def}
}
