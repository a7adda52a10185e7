package coder_test

import (
	"fmt"

	"github.com/millrace/millrace/coder"
)

func ExampleFor() {
	type Visit struct {
		Page string `beam:"page"`
		Ms   int64  `beam:"ms"`
		User *int64 `beam:"user"`
	}
	c, err := coder.For[Visit]()
	if err != nil {
		fmt.Println(err)
		return
	}
	b := c.Append(nil, Visit{Page: "/", Ms: 250})
	fmt.Printf("% x\n", b)
	v, _, err := c.Decode(b)
	fmt.Println(v.Page, v.Ms, v.User == nil, err)
	fmt.Println(c.ID)
	// Output:
	// 03 01 04 01 2f fa 01
	// / 250 true <nil>
	// beam:coder:row:v1{page string, ms int64, user int64?}
}

func ExampleFor_refused() {
	type Job struct {
		Name string
		Done chan bool
	}
	_, err := coder.For[Job]()
	fmt.Println(err)
	// Output:
	// type coder_test.Job has no coder: its part Job.Done (chan bool) is a channel, which has no bytes; register a coder for it with coder.Register, or use another type
}

type point struct{ x, y int64 }

func ExampleRegister() {
	coder.Register(coder.Coder[point]{
		ID: "example.com:coder:point:v1",
		Append: func(b []byte, p point) []byte {
			return coder.AppendVarint(coder.AppendVarint(b, p.x), p.y)
		},
		Decode: func(b []byte) (p point, rest []byte, err error) {
			if p.x, rest, err = coder.ReadVarint(b); err != nil {
				return point{}, nil, err
			}
			p.y, rest, err = coder.ReadVarint(rest)
			return p, rest, err
		},
	})
	c, err := coder.For[coder.KV[string, point]]()
	fmt.Println(c.ID, err)
	// Output:
	// beam:coder:kv:v1<beam:coder:string_utf8:v1,example.com:coder:point:v1> <nil>
}

func ExampleSchemaOf() {
	type Line struct {
		Article string
		Count   int32
	}
	type Order struct {
		ID    uint64
		Lines []Line
	}
	s, err := coder.SchemaOf[Order]()
	fmt.Println(s, err)
	// Output:
	// {ID millrace:logical_type:uint64:v1<int64>, Lines array<row{Article string, Count int32}>} <nil>
}
