package diff

import "testing"

func TestWhatMayBeAcceptedIsOneValueThatTheSpecHasAKeyFor(t *testing.T) {
	for path, have := range map[string]string{
		"config.log_level": `"debug"`, "config.telemetry.disable_hostname": absent, "storage.raft.performance_multiplier": `"1"`,
		"listener.tcp[0].tls_min_version": `"tls13"`, "seal.transit.address": `"https://x"`, "api_addr": `"https://x:8200"`,
		"files[/etc/x.mode].mode": "0600", "files[/etc/x].owner": "root:root", "vault": "1.20.4",
	} {
		if why, instead := (Drift{Path: path, Have: have}).Unacceptable(); why != "" || instead != "" {
			t.Errorf("%s: %s; %s", path, why, instead)
		}
	}
	if file, owner, ok := (Drift{Path: "files[/etc/x].owner"}).FileRight(); file != "/etc/x" || !owner || !ok {
		t.Errorf("%s %v %v", file, owner, ok)
	}
	if key, value, ok := (Drift{Path: "config.a.b", Have: absent}).ConfigKey(); key != "a.b" || value != "" || !ok {
		t.Errorf("%s %s %v", key, value, ok)
	}
	if _, _, ok := (Drift{Path: "config.mode", Have: "0600"}).ConfigKey(); ok {
		t.Error("the mode of vault.hcl is no key of it")
	}
}
