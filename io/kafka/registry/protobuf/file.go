package protobuf

import (
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/bufbuild/protocompile/parser"
	"github.com/bufbuild/protocompile/reporter"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/millrace/millrace/io/kafka/registry/internal/schemas"
)

// file is a writer's schema, as far as it says which messages there are.
type file struct {
	*descriptorpb.FileDescriptorProto
}

// parse reads a schema: the text of a .proto file, or its descriptor in base64.
func parse(text string) (*file, error) {
	if raw, err := base64.StdEncoding.DecodeString(text); err == nil {
		f := &file{&descriptorpb.FileDescriptorProto{}}
		return f, proto.Unmarshal(raw, f.FileDescriptorProto)
	}
	handler := reporter.NewHandler(nil)
	ast, err := parser.Parse("schema", strings.NewReader(text), handler)
	if err != nil {
		return nil, err
	}
	result, err := parser.ResultFromAST(ast, false, handler)
	if err != nil {
		return nil, err
	}
	return &file{result.FileDescriptorProto()}, nil
}

// path is where the message is; nil is nowhere.
func (f *file) path(name protoreflect.FullName) []int {
	return search(f.MessageType, protoreflect.FullName(f.GetPackage()), name)
}

func search(messages []*descriptorpb.DescriptorProto, scope, name protoreflect.FullName) []int {
	for i, m := range messages {
		full := join(scope, m.GetName())
		if full == name {
			return []int{i}
		}
		if path := search(m.NestedType, full, name); path != nil {
			return append([]int{i}, path...)
		}
	}
	return nil
}

// name is the message at a path; "" is none.
func (f *file) name(path []int) protoreflect.FullName {
	messages, name := f.MessageType, protoreflect.FullName(f.GetPackage())
	for _, i := range path {
		if i < 0 || i >= len(messages) {
			return ""
		}
		name = join(name, messages[i].GetName())
		messages = messages[i].NestedType
	}
	return name
}

func join(scope protoreflect.FullName, name string) protoreflect.FullName {
	if scope == "" {
		return protoreflect.FullName(name)
	}
	return scope + "." + protoreflect.FullName(name)
}

// describe is a file as a registry takes it, with the files that it imports, which are
// registered, or looked up, before.
func describe(c *schemas.Client, f protoreflect.FileDescriptor) (text string, refs []schemas.Reference, err error) {
	imports := f.Imports()
	for i := range imports.Len() {
		dep := imports.Get(i).FileDescriptor
		path := dep.Path()
		if strings.HasPrefix(path, "google/protobuf/") {
			continue
		}
		own := schemas.Own{Type: kind}
		if own.Text, own.Refs, err = describe(c, dep); err != nil {
			return "", nil, err
		}
		_, version, err := c.ID(path, own)
		if err != nil {
			return "", nil, fmt.Errorf("%s imports %s: %w", f.Path(), path, err)
		}
		refs = append(refs, schemas.Reference{Name: path, Subject: path, Version: version})
	}
	raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(protodesc.ToFileDescriptorProto(f))
	return base64.StdEncoding.EncodeToString(raw), refs, err
}
