package kafka

import (
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// defaultPort is that of a broker whose address has none.
const defaultPort = "9092"

// address is what a URL says:
//
//	kafka://user:password@host:9092,host2:9092/topic?parameter=value
//
// kafkas is TLS. Its String has neither the password nor the parameters, and its errors
// don't have them either.
type address struct {
	Brokers  []string // host:port, at least one
	Topic    string   // as it stands in the URL: "" if there is none
	TLS      bool
	User     string
	password string
	params   url.Values
}

// String is the address without its secrets.
func (a *address) String() string {
	scheme := "kafka"
	if a.TLS {
		scheme = "kafkas"
	}
	return scheme + "://" + strings.Join(a.Brokers, ",") + "/" + a.Topic
}

// GoString keeps %#v from printing the password.
func (a *address) GoString() string { return a.String() }

// parseURL reads a URL by hand: the standard library knows but one host, and its
// errors show passwords. params are the parameters that may be given.
func parseURL(text string, params ...string) (*address, error) {
	scheme, rest, ok := strings.Cut(text, "://")
	if !ok || scheme != "kafka" && scheme != "kafkas" {
		return nil, fmt.Errorf("want a URL as kafka://host:9092/topic, or with kafkas:// for TLS")
	}
	a := &address{TLS: scheme == "kafkas"}
	rest, query, _ := strings.Cut(rest, "?")
	if strings.Contains(rest, "#") || strings.Contains(query, "#") {
		return nil, fmt.Errorf("a # in a URL has to be written as %%23")
	}
	hosts, path, _ := strings.Cut(rest, "/")
	if at := strings.LastIndexByte(hosts, '@'); at >= 0 {
		if err := a.setUser(hosts[:at]); err != nil {
			return nil, err
		}
		hosts = hosts[at+1:]
	}
	for host := range strings.SplitSeq(hosts, ",") {
		broker, err := brokerOf(host)
		if err != nil {
			return nil, err
		}
		a.Brokers = append(a.Brokers, broker)
	}
	var err error
	if a.Topic, err = url.PathUnescape(path); err != nil {
		return nil, fmt.Errorf("the topic in the URL is badly escaped: %q", path)
	}
	return a, a.setParams(query, params)
}

func (a *address) setUser(info string) error {
	user, password, _ := strings.Cut(info, ":")
	var err1, err2 error
	a.User, err1 = url.PathUnescape(user)
	a.password, err2 = url.PathUnescape(password)
	if err1 != nil || err2 != nil {
		return fmt.Errorf("user and password in the URL are badly escaped: %% is written as %%25, @ as %%40, / as %%2F")
	}
	if a.User == "" {
		return fmt.Errorf("the URL has a password and no user")
	}
	return nil
}

// brokerOf is the host and port of what stands in a URL.
func brokerOf(host string) (string, error) {
	if host == "" {
		return "", fmt.Errorf("the URL names no broker: want kafka://host:9092/topic")
	}
	h, port, err := net.SplitHostPort(host)
	if err != nil {
		h, port, err = net.SplitHostPort(host + ":" + defaultPort)
	}
	if n, e := strconv.ParseUint(port, 10, 16); err != nil || e != nil || n == 0 || h == "" || strings.ContainsAny(h, " @/") {
		return "", fmt.Errorf("%q is no address of a broker: want host:9092", host)
	}
	return net.JoinHostPort(h, port), nil
}

func (a *address) setParams(query string, known []string) (err error) {
	if a.params, err = url.ParseQuery(query); err != nil {
		return fmt.Errorf("the parameters of the URL are badly escaped")
	}
	for _, name := range sortedKeys(a.params) {
		if !slices.Contains(known, name) {
			known = slices.Sorted(slices.Values(known))
			return fmt.Errorf("the URL has the parameter %q: there are %s", name, strings.Join(known, ", "))
		}
		if len(a.params[name]) > 1 {
			return fmt.Errorf("the URL has the parameter %q twice", name)
		}
	}
	return nil
}

func sortedKeys(v url.Values) []string {
	keys := make([]string, 0, len(v))
	for k := range v {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// param is the value of a parameter, and whether it was given.
func (a *address) param(name string) (string, bool) {
	v, ok := a.params[name]
	if !ok {
		return "", false
	}
	return v[0], true
}

// checkTopic says what is wrong with a topic's name. Rules: Apache Kafka's Topic.java.
func checkTopic(name string) error {
	const allowed = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-"
	switch {
	case name == "":
		return fmt.Errorf("no topic is named: want kafka://host:9092/topic")
	case name == "." || name == "..":
		return fmt.Errorf("a topic can't be named %q", name)
	case len(name) > 249:
		return fmt.Errorf("the topic's name is longer than 249 letters: %.20s", name)
	case strings.Trim(name, allowed) != "":
		return fmt.Errorf("topic %q: names have letters of the Latin alphabet, digits, dots, dashes and underscores only", name)
	}
	return nil
}
