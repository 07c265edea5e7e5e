package accept

import (
	"bytes"
	"io/fs"
)

// over is a tree in which one file has another content.
type over struct {
	fs.FS
	name string
	body []byte
}

func (o over) Open(name string) (fs.File, error) {
	f, err := o.FS.Open(name)
	if err != nil || name != o.name {
		return f, err
	}
	return &overFile{f, bytes.NewReader(o.body)}, nil
}

type overFile struct {
	fs.File
	body *bytes.Reader
}

func (f *overFile) Read(p []byte) (int, error) { return f.body.Read(p) }
