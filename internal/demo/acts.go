package demo

import "context"

const config = "etc/vault.d/vault.hcl"

// acts are the story.
func (s *story) acts() []act {
	return []act{{
		"A cluster is born",
		"A commit describes three nodes. They are bare machines; a person allows the birth, once, and holds a\nthreshold of the shares.",
		[]step{
			s.commit("A cluster of three", s.version("1.21.0", s.Older)...),
			s.lock(s.Older),
			s.run(0, "validate "+s.Repo),
			s.run(5, "apply --yes", "init-unapproved"),
			s.claim("without a person's leave no Vault is started", s.idle),
			s.run(0, "approve --init "+Cluster+" --reason 'the demo'"),
			s.run(0, "why "+Cluster, birthAllowed),
			s.run(8, "apply --yes", "confirm-keys"),
			s.run(0, "keys confirm "+Cluster+" --identity "+s.Holder.File),
			s.run(0, "apply --yes"),
			s.run(0, "status", "leader"),
			s.claim("three nodes are unsealed, and one of them leads", s.serves(3)),
			s.run(1, "approve --init "+Cluster+" --reason 'once more'", "a cluster is born once"),
			s.claim("the leave is used up, and the three nodes are one cluster", all(s.usedUp, s.one)),
			s.settled(),
		},
	}, {
		"A commit changes what a reload takes up",
		"The log level is one of the keys that Vault takes up on SIGHUP.",
		[]step{
			s.remember,
			s.commit("Log more", Edit{environmentFile, "log_level: info", "log_level: debug"}),
			s.run(2, "plan --detailed-exitcode", "log_level", "reload"),
			s.watching(s.run(0, "apply --yes")),
			s.claim("every node has the new level in its file", all(s.holds("eu-1", config, `"debug"`), s.holds("eu-2", config, `"debug"`), s.holds("eu-3", config, `"debug"`))),
			s.claim("every Vault took it up: it says what it did not say before", s.saysSinceReload("[DEBUG]")),
			s.claim("nobody was restarted: every Vault is the process that it was", s.restarted(nil)),
			s.claim("all three served, whenever one looked", s.down(0)),
			s.settled(),
		},
	}, s.roll(), {
		"Somebody edits a node by hand",
		"At night, on eu-2, and nobody is told.",
		[]step{
			s.remember,
			s.editNode("eu-2", config, `"debug"`, `"trace"`),
			s.run(2, "plan --detailed-exitcode", "eu-2", "vault.hcl", "drift, put back"),
			s.run(0, "why "+Cluster, "is not any more"),
			s.run(0, "apply --yes"),
			s.claim("eu-2 has the file of the commit again", s.holds("eu-2", config, `"debug"`)),
			s.claim("nobody was restarted for it", s.restarted(nil)),
			s.settled(),
		},
	}, {
		"A bad commit",
		"A slip of the fingers reaches the branch.",
		[]step{
			s.remember,
			s.commit("Newer is better", Edit{clusterFile, "vault: {version: " + s.Newer + "}", "vault: {verison: " + s.Newer + "}"}),
			s.run(1, "validate "+s.Repo, "verison", "did you mean"),
			s.run(1, "run --once", "verison", "stays in force"),
			s.claim("nobody was restarted, and all three serve", all(s.restarted(nil), s.serves(3))),
			s.commit("Spell it right", Edit{clusterFile, "vault: {verison: " + s.Newer + "}", "vault: {version: " + s.Newer + "}"}),
			s.run(0, "run --once"),
			s.settled(),
		},
	}, {
		"Somebody seals the leader on purpose",
		"A person with a threshold of shares makes a root token and seals the node that leads. Another one takes\nover. A machine that unsealed it again would undo what a person wanted.",
		[]step{
			s.remember,
			s.sealLeader,
			s.run(5, "apply --yes", "sealed-by-hand"),
			s.run(5, "why "+Cluster, "sealed-by-hand", "vault operator unseal"),
			s.run(5, "status", "sealed"),
			s.claim("the node is still sealed, and the other two serve", all(s.restarted(nil), s.leftSealed, s.serves(2))),
			s.unseal,
			s.claim("the person lifted it, and the fleet is in sync", s.healed),
		},
	}}
}

// settled claims that the product has nothing left to do.
func (s *story) settled() step {
	return s.claim("the fleet is in sync: a plan sees every node and has nothing to do", s.inSync)
}

// roll is the act of a new version or, where there is only one, of a change that
// needs a restart.
func (s *story) roll() act {
	if s.Older == s.Newer {
		return act{
			"A commit changes what needs a restart",
			"Vault reads this key only when it starts. The leader is the last one.",
			[]step{
				s.remember,
				s.commit("No page", Edit{clusterFile, "ui: true", "ui: false"}),
				s.run(2, "plan --detailed-exitcode", "restart"),
				s.watching(s.run(0, "apply --yes")),
				s.claim("all were restarted, the leader last", s.restarted(nodes())),
				s.claim("never were two nodes down at once", s.down(1)),
				s.settled(),
			},
		}
	}
	return act{
		"A commit asks for a newer Vault",
		"The release's signature is checked and its digest locked; the binary is on all nodes before the first one\nis restarted. The leader is the last one.",
		[]step{
			s.remember,
			s.lock(s.Newer),
			s.commit("Vault "+s.Newer, s.version(s.Older, s.Newer)...),
			s.run(2, "plan --detailed-exitcode", s.Newer, "no way back"),
			s.watching(s.run(0, "apply --yes")),
			s.claim("every Vault says that it is "+s.Newer, s.runs(s.Newer)),
			s.claim("all were restarted, the leader last", s.restarted(nodes())),
			s.claim("the binary was on all nodes before the first one was restarted", s.placedFirst(s.Newer)),
			s.claim("never were two nodes down at once", s.down(1)),
			s.settled(),
		},
	}
}

// version is the edit that asks for another version.
func (s *story) version(from, to string) []Edit {
	if from == to {
		return nil
	}
	return []Edit{{clusterFile, "vault: {version: " + from + "}", "vault: {version: " + to + "}"}}
}

// lock checks a release and commits its digests.
func (s *story) lock(version string) step {
	lock := s.run(0, "lock "+version+" --platform "+Platform()+" --fleet "+s.Repo, version+" is signed by")
	return func(ctx context.Context) error {
		if err := lock(ctx); err != nil {
			return err
		}
		return s.commit("Lock " + version)(ctx)
	}
}

// all holds when each does.
func all(holds ...func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		for _, h := range holds {
			if err := h(ctx); err != nil {
				return err
			}
		}
		return nil
	}
}
