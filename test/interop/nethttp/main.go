// A server and a client of cleartext HTTP/2 by Go's net/http.
package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
)

const large = 1_000_000
const huge = 200 * large

func main() {
	if len(os.Args) == 3 && os.Args[1] == "serve" {
		fail(serve(os.Args[2]))
	}
	if len(os.Args) == 3 && os.Args[1] == "call" {
		fail(call(os.Args[2]))
		fmt.Println("good")
		return
	}
	fmt.Fprintln(os.Stderr, "usage: nethttp serve ADDRESS | call URL")
	os.Exit(2)
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func onlyHTTP2() *http.Protocols {
	var protocols http.Protocols
	protocols.SetUnencryptedHTTP2(true)
	return &protocols
}

func serve(address string) error {
	mux := http.NewServeMux()
	mux.HandleFunc("/small", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("x-version", r.Proto)
		io.WriteString(w, "ok")
	})
	mux.HandleFunc("/large", func(w http.ResponseWriter, r *http.Request) {
		w.Write(bytes.Repeat([]byte("g"), large))
	})
	// More than any number of frames that a connection may have for nothing.
	mux.HandleFunc("/huge", func(w http.ResponseWriter, r *http.Request) {
		part := bytes.Repeat([]byte("h"), large)
		for range huge / large {
			w.Write(part)
		}
	})
	// Message by message, with trailers both ways.
	mux.HandleFunc("/echo", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "x-told")
		w.WriteHeader(http.StatusOK)
		w.(http.Flusher).Flush()
		part := make([]byte, 16_384)
		for {
			n, err := r.Body.Read(part)
			w.Write(part[:n])
			w.(http.Flusher).Flush()
			if err != nil {
				break
			}
		}
		w.Header().Set("x-told", r.Trailer.Get("x-said"))
	})
	// Never answered in full; it ends when its client does.
	mux.HandleFunc("/forever", func(w http.ResponseWriter, r *http.Request) {
		w.Write([]byte("begun"))
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	fmt.Println("serves", listener.Addr())
	return (&http.Server{Handler: mux, Protocols: onlyHTTP2()}).Serve(listener)
}

func call(url string) error {
	client := &http.Client{Transport: &http.Transport{Protocols: onlyHTTP2()}}
	for _, one := range []func(*http.Client, string) error{many, whole, echo, cancelled, all, many} {
		if err := one(client, url); err != nil {
			return err
		}
	}
	return nil
}

// A hundred at once.
func many(client *http.Client, url string) error {
	var wait sync.WaitGroup
	ends := make(chan error, 100)
	for range cap(ends) {
		wait.Add(1)
		go func() {
			defer wait.Done()
			ends <- small(client, url)
		}()
	}
	wait.Wait()
	close(ends)
	for err := range ends {
		if err != nil {
			return err
		}
	}
	return nil
}

func small(client *http.Client, url string) error {
	response, err := client.Get(url + "small")
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode != 200 || response.Proto != "HTTP/2.0" || string(body) != "ok" {
		return fmt.Errorf("small: %d %s %q", response.StatusCode, response.Proto, body)
	}
	return nil
}

func whole(client *http.Client, url string) error {
	response, err := client.Get(url + "large")
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && !bytes.Equal(body, bytes.Repeat([]byte("g"), large)) {
		err = fmt.Errorf("large: %d bytes", len(body))
	}
	return err
}

// Go grants each few kilobytes anew, twice: 25,000 grants for this.
func all(client *http.Client, url string) error {
	response, err := client.Get(url + "huge")
	if err != nil {
		return err
	}
	defer response.Body.Close()
	n, err := io.Copy(io.Discard, response.Body)
	if err == nil && n != huge {
		err = fmt.Errorf("huge: %d bytes", n)
	}
	return err
}

// Content both ways at once: each part is sent when the one before it came back.
func echo(client *http.Client, url string) error {
	reader, writer := io.Pipe()
	request, err := http.NewRequest("POST", url+"echo", reader)
	if err != nil {
		return err
	}
	request.Trailer = http.Header{"X-Said": nil}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	for n := range 20 {
		part := strings.Repeat(fmt.Sprint(n%10), 10_000)
		if _, err := io.WriteString(writer, part); err != nil {
			return err
		}
		back := make([]byte, len(part))
		if _, err := io.ReadFull(response.Body, back); err != nil {
			return err
		}
		if string(back) != part {
			return fmt.Errorf("echo: part %d is another", n)
		}
	}
	request.Trailer.Set("X-Said", "goodbye")
	writer.Close()
	if rest, err := io.ReadAll(response.Body); err != nil || len(rest) > 0 {
		return fmt.Errorf("echo: %d bytes more, %v", len(rest), err)
	}
	if told := response.Trailer.Get("X-Told"); told != "goodbye" {
		return fmt.Errorf("echo: trailer %q", told)
	}
	return nil
}

// One that is left in the middle is nobody else's matter.
func cancelled(client *http.Client, url string) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, "GET", url+"forever", nil)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if _, err := io.ReadFull(response.Body, make([]byte, 5)); err != nil {
		return err
	}
	cancel()
	if _, err := io.ReadAll(response.Body); err == nil {
		return fmt.Errorf("forever: an end")
	}
	return nil
}
