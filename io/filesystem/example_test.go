package filesystem_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"

	"github.com/millrace/millrace/io/filesystem"
)

func Example() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)

	w, err := filesystem.Create(ctx, dir+"/out/greeting.txt")
	if err != nil {
		log.Fatal(err)
	}
	defer w.Abort() // nothing, once it is committed
	fmt.Fprint(w, "hello")
	_, err = filesystem.Match(ctx, dir+"/out/*")
	fmt.Println("before Commit it is not seen:", err != nil)
	if err := w.Commit(); err != nil {
		log.Fatal(err)
	}

	files, err := filesystem.Match(ctx, dir+"/**/*.txt")
	if err != nil {
		log.Fatal(err)
	}
	for _, f := range files {
		r, err := filesystem.Open(ctx, f.Path)
		if err != nil {
			log.Fatal(err)
		}
		text, err := io.ReadAll(r)
		r.Close()
		fmt.Println(filepath.Base(f.Path), f.Size, string(text), err)
	}
	// Output:
	// before Commit it is not seen: true
	// greeting.txt 5 hello <nil>
}
