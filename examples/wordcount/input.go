package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/millrace-io/millrace/examples/internal/command"
)

// input is the text to count: files in a fixed order, or standard input.
type input struct {
	files []inputFile
	bytes int64  // of all files; 0 when standard input is among them
	id    string // tells this input from another one: a hash over the paths and sizes, in order
}

type inputFile struct {
	path string // "-" is standard input
	size int64
}

// openInput lists what the arguments name; without any, Go's own source.
func openInput(args []string) (*input, error) {
	in := &input{}
	if len(args) == 0 {
		root, err := goSource()
		if err != nil {
			return nil, err
		}
		if err := in.addDir(root, ".go"); err != nil {
			return nil, err
		}
	}
	stdin := false
	for _, arg := range args {
		if arg == "-" {
			if stdin {
				return nil, command.UsageError("- is there twice, but standard input can be read only once")
			}
			stdin = true
			in.files = append(in.files, inputFile{path: arg})
			continue
		}
		if err := in.add(arg); err != nil {
			return nil, err
		}
	}
	hash := sha256.New()
	for _, f := range in.files {
		fmt.Fprintf(hash, "%q %d\n", f.path, f.size)
		in.bytes += f.size
	}
	if stdin {
		in.bytes = 0
	}
	in.id = hex.EncodeToString(hash.Sum(nil)[:16])
	return in, nil
}

func (in *input) add(arg string) error {
	info, err := os.Stat(arg)
	if err != nil {
		return fmt.Errorf("%w: name files or directories that exist, or - for standard input", err)
	}
	path, err := filepath.Abs(arg) // the same file from another working directory is the same input
	if err != nil {
		return err
	}
	switch {
	case info.IsDir():
		return in.addDir(path, "")
	case info.Mode().IsRegular():
		in.files = append(in.files, inputFile{path, info.Size()})
		return nil
	default:
		return fmt.Errorf("%s is neither a file nor a directory: name one, or pipe it in as standard input (-)", arg)
	}
}

// addDir adds the regular files below a directory, in the order of their names, leaving out hidden ones and those without the suffix.
func (in *input) addDir(dir, suffix string) error {
	dir, err := filepath.EvalSymlinks(dir) // a walk does not follow the link that it begins at
	if err != nil {
		return err
	}
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if path != dir && strings.HasPrefix(d.Name(), ".") {
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if !d.Type().IsRegular() || !strings.HasSuffix(path, suffix) {
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		in.files = append(in.files, inputFile{path, info.Size()})
		return nil
	})
}

// goSource finds the source of the Go that runs this program.
func goSource() (string, error) {
	out, err := exec.Command("go", "env", "GOROOT").Output()
	root := strings.TrimSpace(string(out))
	if err != nil || root == "" {
		return "", errors.New("the default text, Go's own source, was not found (go env GOROOT does not answer): name the files to count")
	}
	return filepath.Join(root, "src"), nil
}

// lineTooLong says that a line does not fit into a record of the topic.
type lineTooLong struct {
	file  string
	line  int64
	limit int
}

func (e *lineTooLong) Error() string {
	return fmt.Sprintf("%s:%d: the line is longer than the %d bytes that a record of the topic may have (max.message.bytes): break the line, "+
		"or make the topic with a larger max.message.bytes first", e.file, e.line, e.limit)
}

// eachLine calls fn with every line, without its line end, until fn fails or ctx ends. A line is at most limit bytes long.
func (in *input) eachLine(ctx context.Context, limit int, fn func(line string) error) error {
	for _, f := range in.files {
		if err := in.eachLineOf(ctx, f, limit, fn); err != nil {
			return err
		}
	}
	return nil
}

func (in *input) eachLineOf(ctx context.Context, f inputFile, limit int, fn func(line string) error) error {
	var src io.Reader = os.Stdin
	name := "standard input"
	if f.path != "-" {
		file, err := os.Open(f.path)
		if err != nil {
			return err
		}
		defer file.Close()
		src, name = file, f.path
	}
	r := bufio.NewReaderSize(&untilDone{ctx, src}, 64<<10)
	var long []byte // a line that does not fit the reader's buffer, so far
	for n := int64(1); ; n++ {
		line, err := r.ReadSlice('\n')
		for errors.Is(err, bufio.ErrBufferFull) && len(long) <= limit {
			long = append(long, line...)
			line, err = r.ReadSlice('\n')
		}
		if len(long) > 0 {
			long = append(long, line...)
			line = long
		}
		if err != nil && err != io.EOF && !errors.Is(err, bufio.ErrBufferFull) {
			return err
		}
		last := err == io.EOF
		if last && len(line) == 0 {
			return nil
		}
		text := strings.TrimSuffix(strings.TrimSuffix(string(line), "\n"), "\r")
		if len(text) > limit {
			return &lineTooLong{name, n, limit}
		}
		if err := fn(text); err != nil || last {
			return err
		}
		long = long[:0]
	}
}

// untilDone ends a reader with its context. Standard input can block in a read for ever, so the read is left behind: the program ends right after.
type untilDone struct {
	ctx context.Context
	src io.Reader
}

func (u *untilDone) Read(p []byte) (int, error) {
	if err := u.ctx.Err(); err != nil {
		return 0, err
	}
	if u.src != io.Reader(os.Stdin) {
		return u.src.Read(p)
	}
	type result struct {
		n   int
		err error
	}
	buf, done := make([]byte, len(p)), make(chan result, 1)
	go func() {
		n, err := u.src.Read(buf)
		done <- result{n, err}
	}()
	select {
	case r := <-done:
		return copy(p, buf[:r.n]), r.err
	case <-u.ctx.Done():
		return 0, u.ctx.Err()
	}
}
