package savepoint_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/millrace/millrace/savepoint"
)

// What a job knew of each key.
func ExampleValues() {
	s, err := savepoint.Open("testdata/visits.savepoint")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()
	values, failed := savepoint.Values[string, int64](s, "users", "seen")
	seen := maps.Collect(values)
	if err := failed(); err != nil {
		fmt.Println(err)
	}
	for _, user := range slices.Sorted(maps.Keys(seen)) {
		fmt.Println(user, "was seen", seen[user], "times")
	}
	// Output:
	// user0 was seen 7 times
	// user1 was seen 7 times
	// user2 was seen 7 times
	// user3 was seen 6 times
}

// The transforms that keep state, and what they call it.
func ExampleSavepoint_Transforms() {
	s, err := savepoint.Open("testdata/visits.savepoint")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()
	for _, t := range s.Transforms() {
		for _, c := range t.Cells {
			if c.Type != "" {
				fmt.Printf("%s by %s: %s %s\n", t.Name, t.Key, c.Name, c.Type)
			}
		}
	}
	// Output:
	// users by string: seen int64
	// users by string: who struct{Name string; Score int64}
	// users by string: bag []int64
	// users by string: set []int64
	// users by string: tens map[string]int64
	// users by string: list []KV[int64, string]
	// Count/perMinute by string: accumulator int64
}

// A wrong type is an error, and no wrong value.
func ExampleGet() {
	s, err := savepoint.Open("testdata/visits.savepoint")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()
	n, ok, err := savepoint.Get[string, int64](s, "users", "seen", "user1")
	fmt.Println(n, ok, err)
	_, _, err = savepoint.Get[string, bool](s, "users", "seen", "user1")
	fmt.Println(err)
	// Output:
	// 7 true <nil>
	// value "seen" of "users" is int64 (beam:coder:varint:v1), not bool (beam:coder:bool:v1)
}

// State that is put right, or that follows a transform to its new name. A job begins
// with the new savepoint by -from.
func ExampleSavepoint_Edit() {
	s, err := savepoint.Open("testdata/visits.savepoint")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()
	dir, err := os.MkdirTemp("", "savepoint")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)

	e := s.Edit()
	problems := []error{
		savepoint.Set(e, "users", "seen", "user1", int64(1000)),
		savepoint.Delete(e, "users", "user2"),
		e.Rename("users", "visitors"),
		e.Drop("Count/perMinute"),
		e.Save(filepath.Join(dir, "edited.savepoint")),
	}
	fmt.Println(problems)

	edited, err := savepoint.Open(filepath.Join(dir, "edited.savepoint"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer edited.Close()
	for _, user := range []string{"user1", "user2", "user3"} {
		fmt.Println(savepoint.Get[string, int64](edited, "visitors", "seen", user))
	}
	// Output:
	// [<nil> <nil> <nil> <nil> <nil>]
	// 1000 true <nil>
	// 0 false <nil>
	// 6 true <nil>
}
