// Package pki makes the keys and certificates of one cluster, new at each start.
package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	api "k8s.io/client-go/tools/clientcmd/api"

	"rauta.io/cluster/internal/network"
)

const (
	validity  = 30 * 24 * time.Hour
	clockSkew = time.Hour // certificates are valid from a little before now

	// FrontProxyName is the common name by which the API server knows the fault-injecting proxy.
	FrontProxyName = "front-proxy"
)

// PKI is a folder with a certificate authority and all that it signed.
type PKI struct {
	dir   string
	caKey crypto.Signer
	ca    *x509.Certificate
}

// Path names a file of the folder: ca.crt, apiserver.crt, apiserver.key, admin.crt and so on.
func (p *PKI) Path(name string) string { return filepath.Join(p.dir, name) }

// New makes the authority, the servers' certificate, the administrator's and the front proxy's
// client certificates, and the key that signs service account tokens.
func New(dir string, nodes []string) (*PKI, error) {
	p := &PKI{dir: dir}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	if err := p.authority(); err != nil {
		return nil, fmt.Errorf("certificate authority: %w", err)
	}
	names := append([]string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"}, nodes...)
	ips := []net.IP{net.ParseIP("127.0.0.1"), net.ParseIP(network.ServiceIP)}
	for n := range nodes {
		ips = append(ips, net.ParseIP(network.NodeIP(n)))
	}
	for _, c := range []struct {
		name    string
		subject pkix.Name
		dns     []string
		ips     []net.IP
	}{
		{"apiserver", pkix.Name{CommonName: "kube-apiserver"}, names, ips},
		// Group system:masters passes RBAC; everybody else is subject to it.
		{"admin", pkix.Name{CommonName: "admin", Organization: []string{"system:masters"}}, nil, nil},
		{"front-proxy", pkix.Name{CommonName: FrontProxyName}, nil, nil},
	} {
		if err := p.issue(c.name, c.subject, c.dns, c.ips); err != nil {
			return nil, fmt.Errorf("certificate of %s: %w", c.name, err)
		}
	}
	if err := p.serviceAccountKey(); err != nil {
		return nil, fmt.Errorf("service account key: %w", err)
	}
	return p, nil
}

func (p *PKI) authority() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	p.caKey = key
	t := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "cluster-ca"},
		NotBefore: time.Now().Add(-clockSkew), NotAfter: time.Now().Add(validity),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		return err
	}
	if p.ca, err = x509.ParseCertificate(der); err != nil {
		return err
	}
	return writePEM(p.Path("ca.crt"), "CERTIFICATE", der)
}

func (p *PKI) serviceAccountKey() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	pub, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return err
	}
	if err := writePEM(p.Path("sa.pub"), "PUBLIC KEY", pub); err != nil {
		return err
	}
	return p.writeKey("sa.key", key)
}

func (p *PKI) issue(name string, subject pkix.Name, dns []string, ips []net.IP) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 62))
	if err != nil {
		return err
	}
	t := &x509.Certificate{
		SerialNumber: serial, Subject: subject, DNSNames: dns, IPAddresses: ips,
		NotBefore: time.Now().Add(-clockSkew), NotAfter: time.Now().Add(validity),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, t, p.ca, key.Public(), p.caKey)
	if err != nil {
		return err
	}
	if err := writePEM(p.Path(name+".crt"), "CERTIFICATE", der); err != nil {
		return err
	}
	return p.writeKey(name+".key", key)
}

func (p *PKI) writeKey(name string, key *ecdsa.PrivateKey) error {
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	return writePEM(p.Path(name), "EC PRIVATE KEY", der)
}

func writePEM(path, kind string, der []byte) error {
	return os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
}

func server(port int) string {
	return "https://" + net.JoinHostPort(network.APIHost, strconv.Itoa(port))
}

// WriteKubeconfig writes the administrator's kubeconfig for the API server, or for the proxy before
// it, on the given port.
func (p *PKI) WriteKubeconfig(path string, port int) error {
	c := api.NewConfig()
	var files [3][]byte
	for i, n := range []string{"ca.crt", "admin.crt", "admin.key"} {
		b, err := os.ReadFile(p.Path(n))
		if err != nil {
			return err
		}
		files[i] = b
	}
	c.Clusters["cluster"] = &api.Cluster{Server: server(port), CertificateAuthorityData: files[0]}
	c.AuthInfos["admin"] = &api.AuthInfo{ClientCertificateData: files[1], ClientKeyData: files[2]}
	c.Contexts["cluster"] = &api.Context{Cluster: "cluster", AuthInfo: "admin"}
	c.CurrentContext = "cluster"
	return clientcmd.WriteToFile(*c, path)
}

// Client is the configuration of a client of the API server itself, under the given name: the name
// tells the cluster's own parts from others where API writes are counted.
func (p *PKI) Client(userAgent string) *rest.Config {
	return &rest.Config{
		Host: server(network.APIPort),
		TLSClientConfig: rest.TLSClientConfig{
			CAFile: p.Path("ca.crt"), CertFile: p.Path("admin.crt"), KeyFile: p.Path("admin.key"),
		},
		UserAgent: userAgent,
		QPS:       -1, // no limit on the client's side
	}
}
