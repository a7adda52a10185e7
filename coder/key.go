package coder

import (
	"fmt"
	"reflect"
)

// CheckKey tells whether K can be a key: its values must be equal exactly when
// their encodings are, in every process. Pointers, interfaces, channels and
// floating-point numbers (NaN differs from itself, and 0 equals -0) are refused,
// also inside structs and arrays; so is time.Time, which holds a pointer to its
// location. A type with a registered coder is taken at its author's word. The error
// is a sentence for the author of the pipeline.
func CheckKey[K comparable]() error {
	t := reflect.TypeFor[K]()
	return checkKey(t, t, "")
}

func checkKey(root, t reflect.Type, path string) error {
	if registered(t) != nil {
		return nil
	}
	refuse := func(why, instead string) error {
		if path == "" {
			return fmt.Errorf("type %v cannot be a key: %s; %s", t, why, instead)
		}
		return fmt.Errorf("type %v cannot be a key: its part %s%s (%v) %s; %s", root, root.Name(), path, t, why, instead)
	}
	const value = "use the value it stands for"
	switch t.Kind() {
	case reflect.Pointer, reflect.UnsafePointer, reflect.Uintptr:
		return refuse("is a pointer, which means nothing to another process", value)
	case reflect.Interface:
		return refuse("is an interface, and nothing says which types it holds", "use a concrete type")
	case reflect.Chan:
		return refuse("is a channel, which means nothing to another process", value)
	case reflect.Func:
		return refuse("is a function, which means nothing to another process", value)
	case reflect.Float32, reflect.Float64, reflect.Complex64, reflect.Complex128:
		return refuse("is a floating-point number, and NaN is not even equal to itself", "use an integer (round it, or math.Float64bits) or a string")
	case reflect.Array:
		return checkKey(root, t.Elem(), path+"[]")
	case reflect.Struct:
		if t == timeType {
			return refuse("is a time, and one instant has many values, one for each location", "use its UnixMilli or UnixNano")
		}
		for i := range t.NumField() {
			f := t.Field(i)
			if err := checkKey(root, f.Type, path+"."+f.Name); err != nil {
				return err
			}
		}
	}
	return nil
}
