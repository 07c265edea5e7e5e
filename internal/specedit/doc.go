// Package specedit changes single values in a YAML file that a person wrote, and leaves
// every other byte as it is: comments, order, quotes, flow or block. The file is read
// as nodes, which tell where something stands, and is changed as text; it is never
// written anew.
//
// It knows YAML, and that each change has to be the only one: what was changed is read
// again, and must be the file as it was read before with that value in it. What cannot
// be changed so is refused, with what a person does instead.
//
// It must not know what a key means, which layers there are, nor where files are.
//
//	text := []byte("config:\n  log_level: info # as everywhere\n")
//	text, err := specedit.Set(text, specedit.Path{}.Key("config").Key("log_level"), specedit.Text("debug"))
//	// "config:\n  log_level: debug # as everywhere\n"
package specedit
