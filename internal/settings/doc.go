// Package settings reads reconciler.yaml: what no commit can change.
//
// It knows the keys of that file, where the file is looked for, and which of
// the files that it names other people must not read or write. It must not
// know what the settings are for: whether a node may be dialled is the
// judgement of internal/trust, and no connection is made and no secret opened
// here.
//
// Everything that is wrong is said at once, each with its place. Zero values
// are the safe ones: no network may be dialled, no cluster may be changed.
//
//	path, err := settings.Find(flag, os.LookupEnv)
//	if err != nil {
//		return err
//	}
//	s, problems := settings.Load(path)
//	for _, p := range problems {
//		fmt.Fprintln(os.Stderr, p.Error())
//	}
package settings
