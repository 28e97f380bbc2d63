package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/interop"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"
)

const (
	many  = 10_000
	mega4 = 4<<20 - 1024
)

type client struct {
	conn *grpc.ClientConn
	test testpb.TestServiceClient
}

// cases are what a client can be asked to do. Those of gRPC's own suite end the process when something is wrong.
var cases = map[string]func(context.Context, client) error{
	"empty_unary":                 suite(interop.DoEmptyUnaryCall),
	"large_unary":                 suite(interop.DoLargeUnaryCall),
	"client_streaming":            suite(interop.DoClientStreaming),
	"server_streaming":            suite(interop.DoServerStreaming),
	"ping_pong":                   suite(interop.DoPingPong),
	"empty_stream":                suite(interop.DoEmptyStream),
	"timeout_on_sleeping_server":  suite(interop.DoTimeoutOnSleepingServer),
	"cancel_after_begin":          suite(interop.DoCancelAfterBegin),
	"cancel_after_first_response": suite(interop.DoCancelAfterFirstResponse),
	"custom_metadata":             suite(interop.DoCustomMetadata),
	"status_code_and_message":     suite(interop.DoStatusCodeAndMessage),
	"special_status_message":      suite(interop.DoSpecialStatusMessage),
	"unimplemented_method": func(ctx context.Context, c client) error {
		interop.DoUnimplementedMethod(ctx, c.conn)
		return nil
	},
	"unimplemented_service": func(ctx context.Context, c client) error {
		interop.DoUnimplementedService(ctx, testpb.NewUnimplementedServiceClient(c.conn))
		return nil
	},
	"many_from_server": manyFromServer,
	"many_to_server":   manyToServer,
	"many_both_ways":   manyBothWays,
	"four_megabytes":   fourMegabytes,
	"stalled_reader":   stalledReader,
	"unavailable":      unavailable,
	"healthy":          healthy,
}

func suite(run func(context.Context, testpb.TestServiceClient, ...grpc.CallOption)) func(context.Context, client) error {
	return func(ctx context.Context, c client) error {
		run(ctx, c.test)
		return nil
	}
}

// call runs one case against address, in the clear, and says on standard output that it went well.
func call(name, address string) {
	run, found := cases[name]
	if !found {
		fmt.Fprintln(os.Stderr, "no such case:", name)
		os.Exit(2)
	}
	conn, err := grpc.NewClient("passthrough:///"+address,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(largest), grpc.MaxCallSendMsgSize(largest)))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	ctx, stop := context.WithTimeout(context.Background(), 60*time.Second)
	defer stop()
	if err := run(ctx, client{conn, testpb.NewTestServiceClient(conn)}); err != nil {
		fmt.Fprintln(os.Stderr, name+":", err)
		os.Exit(1)
	}
	_ = conn.Close()
	fmt.Println("ok")
}

func payload(size int) *testpb.Payload { return &testpb.Payload{Body: make([]byte, size)} }

func sizes(count, size int) []*testpb.ResponseParameters {
	all := make([]*testpb.ResponseParameters, count)
	for i := range all {
		all[i] = &testpb.ResponseParameters{Size: int32(size)}
	}
	return all
}

// received counts messages of size bytes until the stream ends.
func received(recv func() (*testpb.StreamingOutputCallResponse, error), size int) (int, error) {
	for count := 0; ; count++ {
		message, err := recv()
		if errors.Is(err, io.EOF) {
			return count, nil
		}
		if err != nil {
			return count, err
		}
		if got := len(message.GetPayload().GetBody()); got != size {
			return count, fmt.Errorf("message %d has %d bytes, not %d", count, got, size)
		}
	}
}

func exactly(count, want int, err error) error {
	if err == nil && count != want {
		err = errors.New("that is not all")
	}
	if err != nil {
		return fmt.Errorf("%d of %d: %w", count, want, err)
	}
	return nil
}

func manyFromServer(ctx context.Context, c client) error {
	stream, err := c.test.StreamingOutputCall(ctx, &testpb.StreamingOutputCallRequest{ResponseParameters: sizes(many, 100)})
	if err != nil {
		return err
	}
	count, err := received(stream.Recv, 100)
	return exactly(count, many, err)
}

func manyToServer(ctx context.Context, c client) error {
	stream, err := c.test.StreamingInputCall(ctx)
	if err != nil {
		return err
	}
	for range many {
		if err := stream.Send(&testpb.StreamingInputCallRequest{Payload: payload(100)}); err != nil {
			return err
		}
	}
	answer, err := stream.CloseAndRecv()
	return exactly(int(answer.GetAggregatedPayloadSize()), many*100, err)
}

// manyBothWays sends as fast as it can while another goroutine reads what comes back.
func manyBothWays(ctx context.Context, c client) error {
	stream, err := c.test.FullDuplexCall(ctx)
	if err != nil {
		return err
	}
	sent := make(chan error, 1)
	go func() {
		for range many {
			if err := stream.Send(&testpb.StreamingOutputCallRequest{ResponseParameters: sizes(1, 50)}); err != nil {
				sent <- err
				return
			}
		}
		sent <- stream.CloseSend()
	}()
	count, err := received(stream.Recv, 50)
	return exactly(count, many, errors.Join(err, <-sent))
}

func fourMegabytes(ctx context.Context, c client) error {
	answer, err := c.test.UnaryCall(ctx, &testpb.SimpleRequest{ResponseSize: mega4, Payload: payload(mega4)})
	return exactly(len(answer.GetPayload().GetBody()), mega4, err)
}

// stalledReader leaves a stream unread until other calls on the same connection have been answered, then reads it all.
func stalledReader(ctx context.Context, c client) error {
	stream, err := c.test.StreamingOutputCall(ctx, &testpb.StreamingOutputCallRequest{ResponseParameters: sizes(64, 256<<10)})
	if err != nil {
		return err
	}
	for range 100 {
		if _, err := c.test.UnaryCall(ctx, &testpb.SimpleRequest{ResponseSize: 1000, Payload: payload(1000)}); err != nil {
			return err
		}
	}
	count, err := received(stream.Recv, 256<<10)
	return exactly(count, 64, err)
}

// unavailable: nobody is there to answer.
func unavailable(ctx context.Context, c client) error {
	_, err := c.test.EmptyCall(ctx, &testpb.Empty{})
	if status.Code(err) != codes.Unavailable {
		return fmt.Errorf("got %w", err)
	}
	return nil
}

// healthy asks the admin server: once, in a stream, and for a service that it does not know.
func healthy(ctx context.Context, c client) error {
	asker := healthpb.NewHealthClient(c.conn)
	for _, service := range []string{"", "readiness", "liveness"} {
		answer, err := asker.Check(ctx, &healthpb.HealthCheckRequest{Service: service})
		if err != nil || answer.GetStatus() != healthpb.HealthCheckResponse_SERVING {
			return fmt.Errorf("%q: %v, %w", service, answer.GetStatus(), err)
		}
	}
	if _, err := asker.Check(ctx, &healthpb.HealthCheckRequest{Service: "nobody"}); status.Code(err) != codes.NotFound {
		return fmt.Errorf("nobody: %w", err)
	}
	stream, err := asker.Watch(ctx, &healthpb.HealthCheckRequest{})
	if err != nil {
		return err
	}
	first, err := stream.Recv()
	if err != nil || first.GetStatus() != healthpb.HealthCheckResponse_SERVING {
		return fmt.Errorf("watch: %v, %w", first.GetStatus(), err)
	}
	return nil
}
