// Package plane is the control plane: etcd, kube-apiserver and the controllers, all stock, all in
// this process.
package plane

import (
	"errors"
	"net/url"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"

	"rauta.io/cluster/internal/network"
)

const (
	etcdStart    = 30 * time.Second
	etcdQuota    = 2 << 30
	etcdTick     = 50  // ms
	etcdElection = 250 // ms: a single member elects itself after this
)

// StartEtcd runs a one-member etcd whose data nobody wants after the process ends.
func StartEtcd(dir string) error {
	c := embed.NewConfig()
	c.Dir = dir
	c.UnsafeNoFsync = true
	c.Logger = "zap"
	c.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zap.NewNop())
	client := []url.URL{{Scheme: "http", Host: network.EtcdAddr}}
	peer := []url.URL{{Scheme: "http", Host: network.EtcdPeer}}
	c.ListenClientUrls, c.AdvertiseClientUrls = client, client
	c.ListenPeerUrls, c.AdvertisePeerUrls = peer, peer
	c.InitialCluster = c.InitialClusterFromName(c.Name)
	c.QuotaBackendBytes = etcdQuota
	c.TickMs, c.ElectionMs = etcdTick, etcdElection
	e, err := embed.StartEtcd(c)
	if err != nil {
		return err
	}
	select {
	case <-e.Server.ReadyNotify():
		return nil
	case err := <-e.Err():
		return err
	case <-time.After(etcdStart):
		return errors.New("not ready after " + etcdStart.String())
	}
}
