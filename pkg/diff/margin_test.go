package diff

import "testing"

func TestAMarginCountsAsTheGateDoes(t *testing.T) {
	for name, c := range map[string]struct {
		nodes int
		alter func(*scene)
		want  Margin // zero: there is none
	}{
		"all serve":          {3, func(*scene) {}, Margin{3, 3, 2}},
		"one is sealed":      {3, func(s *scene) { s.have[1].Vault.Sealed = true }, Margin{3, 2, 2}},
		"one was not seen":   {5, func(s *scene) { s.have[1].Vault, s.have[1].Machine = nil, nil }, Margin{5, 4, 3}},
		"nobody leads":       {3, func(s *scene) { s.have[0].Vault.Leader = false }, Margin{3, 0, 2}},
		"amid its birth":     {3, func(s *scene) { s.memory.Birth.Phase = BirthKeys }, Margin{}},
		"known to nobody":    {3, func(s *scene) { s.memory.Known = false }, Margin{}},
		"born by others":     {3, func(s *scene) { s.memory.Birth = Birth{} }, Margin{3, 3, 2}},
		"storage without it": {3, func(s *scene) { s.want.Storage.Kind = "consul" }, Margin{}},
	} {
		s := convergedScene(c.nodes)
		c.alter(s)
		got, ok := MarginOf(s.want, s.have, s.memory)
		if got != c.want || ok != (c.want != Margin{}) {
			t.Errorf("%s: %+v, %v", name, got, ok)
		}
	}
	if spare := (Margin{Voters: 3, Serving: 1, Quorum: 2}).Spare(); spare != -1 {
		t.Errorf("one of three serves, and %d are to spare", spare)
	}
}
