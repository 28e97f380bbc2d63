// The functions of the OpenSSL inside Node that RAUTA calls, with the numbers of its header files that are macros there
// (openssl/ssl.h, openssl/tls1.h, openssl/x509_vfy.h of 3.5). Only tls.ts and its neighbours import this.

import { EXIT, ExitError } from '../base/errors.ts';
import { direct, symbol } from './ffi.ts';

export const OpenSslVersion = symbol('OpenSSL_version_num', [], 'long');

/** OpenSSL's interface is stable within a major version; another one is not called. */
export function checkOpenSsl(version: number): void {
  const major = Math.floor(version / 0x1000_0000);
  if (major !== 3) {
    throw new ExitError(EXIT.cannotRun, `this Node holds OpenSSL ${major}, RAUTA speaks with OpenSSL 3: TLS is off`);
  }
}

// Hot.
export const clearErrors = direct('ERR_clear_error', []);
// None of our callbacks is called by these two: they are for what stands, and the ALPN of a handshake is behind it.
export const sslRead = direct('SSL_read', ['address', 'address', 'int']);
export const sslWrite = direct('SSL_write', ['address', 'address', 'int']);
export const sslHasPending = direct('SSL_has_pending', ['address', 'unused']);
export const bioCtrl = direct('BIO_ctrl', ['address', 'int', 'int', 'address']);

// Per connection.
export const sslGetError = direct('SSL_get_error', ['address', 'int']);
export const sslFree = direct('SSL_free', ['address', 'unused']);
export const sslSetAcceptState = direct('SSL_set_accept_state', ['address', 'unused']);
export const sslSetWfd = direct('SSL_set_wfd', ['address', 'int']);
export const sslSet0Rbio = direct('SSL_set0_rbio', ['address', 'address']);
export const bioUpRef = direct('BIO_up_ref', ['address', 'unused']);
export const sslSetSessionIdContext = direct('SSL_set_session_id_context', ['address', 'address', 'int']);
export const sslSetCertCb = direct('SSL_set_cert_cb', ['address', 'address', 'address']);
export const sslCertsClear = direct('SSL_certs_clear', ['address', 'unused']);
export const sslSessionReused = direct('SSL_session_reused', ['address', 'unused']);
export const sslVersion = direct('SSL_version', ['address', 'unused']);
/** The low half of where the cipher stands, which no other one has. */
export const sslCurrentCipher = direct('SSL_get_current_cipher', ['address', 'unused']);
export const sslGet0AlpnSelected = direct('SSL_get0_alpn_selected', ['address', 'address', 'address']);
// By plain numbers: what may ask the ALPN callback, gives an address, or is done by connections to backends only.
export const sslNew = symbol('SSL_new', ['long'], 'long');
export const sslDoHandshake = symbol('SSL_do_handshake', ['long']);
export const sslSetFd = symbol('SSL_set_fd', ['long', 'int']);
export const bioSMem = symbol('BIO_s_mem', [], 'long');
export const bioNew = symbol('BIO_new', ['long'], 'long');
export const bioSetFlags = symbol('BIO_set_flags', ['long', 'int']);
export const bioFree = symbol('BIO_free', ['long']);
export const sslSetConnectState = symbol('SSL_set_connect_state', ['long']);
export const sslShutdown = symbol('SSL_shutdown', ['long']);
export const sslCtrl = symbol('SSL_ctrl', ['long', 'int', 'long', 'address'], 'long');
export const sslUseCertAndKey = symbol('SSL_use_cert_and_key', ['long', 'long', 'long', 'long', 'int']);
export const sslGetCurrentCipher = symbol('SSL_get_current_cipher', ['long'], 'long');
export const sslCipherStandardName = symbol('SSL_CIPHER_standard_name', ['long'], 'long');
export const sslGetVerifyResult = symbol('SSL_get_verify_result', ['long'], 'long');
export const sslGet0PeerCertificate = symbol('SSL_get0_peer_certificate', ['long'], 'long');
export const sslSet1Host = symbol('SSL_set1_host', ['long', 'address']);
export const sslAdd1Host = symbol('SSL_add1_host', ['long', 'address']);
export const sslSetHostflags = symbol('SSL_set_hostflags', ['long', 'int']);
export const sslGet0Param = symbol('SSL_get0_param', ['long'], 'long');
export const ctxGet0Param = symbol('SSL_CTX_get0_param', ['long'], 'long');
export const paramSetFlags = symbol('X509_VERIFY_PARAM_set_flags', ['long', 'long']);
export const paramSet1IpAsc = symbol('X509_VERIFY_PARAM_set1_ip_asc', ['long', 'address']);

// Per context, certificate, trust.
export const tlsServerMethod = symbol('TLS_server_method', [], 'long');
export const tlsClientMethod = symbol('TLS_client_method', [], 'long');
export const ctxNew = symbol('SSL_CTX_new', ['long'], 'long');
export const ctxFree = symbol('SSL_CTX_free', ['long']);
export const ctxCtrl = symbol('SSL_CTX_ctrl', ['long', 'int', 'long', 'address'], 'long');
export const ctxSetOptions = symbol('SSL_CTX_set_options', ['long', 'long'], 'long');
export const ctxClearOptions = symbol('SSL_CTX_clear_options', ['long', 'long'], 'long');
export const ctxSetCipherList = symbol('SSL_CTX_set_cipher_list', ['long', 'address']);
export const ctxSetCiphersuites = symbol('SSL_CTX_set_ciphersuites', ['long', 'address']);
export const ctxUseCertAndKey = symbol('SSL_CTX_use_cert_and_key', ['long', 'long', 'long', 'long', 'int']);
export const ctxSetVerify = symbol('SSL_CTX_set_verify', ['long', 'int', 'long']);
export const ctxSet1CertStore = symbol('SSL_CTX_set1_cert_store', ['long', 'long']);
export const ctxSetAlpnProtos = symbol('SSL_CTX_set_alpn_protos', ['long', 'address', 'int']);
export const ctxSetAlpnSelectCb = symbol('SSL_CTX_set_alpn_select_cb', ['long', 'long', 'long']);
export const ctxAddClientCa = symbol('SSL_CTX_add_client_CA', ['long', 'long']);
export const ctxSetNumTickets = symbol('SSL_CTX_set_num_tickets', ['long', 'long']);
export const ctxCallbackCtrl = symbol('SSL_CTX_callback_ctrl', ['long', 'int', 'long'], 'long');
export const sslGet1Session = symbol('SSL_get1_session', ['long'], 'long');
export const sslSetSession = symbol('SSL_set_session', ['long', 'long']);
export const sessionIsResumable = symbol('SSL_SESSION_is_resumable', ['long']);
export const sessionFree = symbol('SSL_SESSION_free', ['long']);
export const memcpy = symbol('memcpy', ['address', 'address', 'long'], 'long');
export const memdup = symbol('CRYPTO_memdup', ['address', 'long', 'long', 'int'], 'long');
export const selectNextProto = symbol('SSL_select_next_proto', ['long', 'long', 'long', 'int', 'long', 'int']);
export const d2iX509 = symbol('d2i_X509', ['long', 'address', 'long'], 'long');
export const i2dX509 = symbol('i2d_X509', ['long', 'address']);
export const d2iX509Crl = symbol('d2i_X509_CRL', ['long', 'address', 'long'], 'long');
export const d2iAutoPrivateKey = symbol('d2i_AutoPrivateKey', ['long', 'address', 'long'], 'long');
export const x509Free = symbol('X509_free', ['long']);
export const x509CrlFree = symbol('X509_CRL_free', ['long']);
export const x509SubjectName = symbol('X509_get_subject_name', ['long'], 'long');
export const i2dX509Name = symbol('i2d_X509_NAME', ['long', 'address']);
export const x509Digest = symbol('X509_digest', ['long', 'long', 'address', 'address']);
export const evpSha256 = symbol('EVP_sha256', [], 'long');
export const pkeyFree = symbol('EVP_PKEY_free', ['long']);
export const stackNew = symbol('OPENSSL_sk_new_null', [], 'long');
export const stackPush = symbol('OPENSSL_sk_push', ['long', 'long']);
export const stackSize = symbol('OPENSSL_sk_num', ['long']);
export const stackValue = symbol('OPENSSL_sk_value', ['long', 'int'], 'long');
export const stackFree = symbol('OPENSSL_sk_free', ['long']);
export const storeNew = symbol('X509_STORE_new', [], 'long');
export const storeFree = symbol('X509_STORE_free', ['long']);
export const storeAddCert = symbol('X509_STORE_add_cert', ['long', 'long']);
export const storeAddCrl = symbol('X509_STORE_add_crl', ['long', 'long']);
export const storeGet1AllCerts = symbol('X509_STORE_get1_all_certs', ['long'], 'long');
export const storeSetFlags = symbol('X509_STORE_set_flags', ['long', 'long']);
export const getError = symbol('ERR_get_error', [], 'long');
export const reasonString = symbol('ERR_reason_error_string', ['long'], 'long');

const dlsym = symbol('dlsym', ['long', 'bytes'], 'long');
const addressOfC = (name: string): number => dlsym(0, new TextEncoder().encode(`${name}\0`));

// Callbacks that need no thought are functions of the C library: nothing of ours runs between OpenSSL's lines.

/** A C function that answers something that is not 0, whatever it is called with. */
export const alwaysTrue = (): number => addressOfC('getpagesize');
/** One that answers 0 for an address and anything else (an SSL is never that number). */
export const alwaysZero = (): number => addressOfC('pthread_equal');

/**
 * One that answers -1 for an SSL that reads from no descriptor, as all do: as a callback for certificates that is "not
 * yet" (SSL_CTX_set_cert_cb).
 */
export const notYet = (): number => addressOfC('SSL_get_rfd');

/** SSL_get_error. */
export const SSL_ERROR = {
  SSL: 1,
  WANT_READ: 2,
  WANT_WRITE: 3,
  WANT_X509_LOOKUP: 4,
  SYSCALL: 5,
  ZERO_RETURN: 6,
} as const;

/** Commands of SSL_ctrl and SSL_CTX_ctrl. */
export const CTRL = {
  MODE: 33,
  SET_READ_AHEAD: 41,
  SET_SESS_CACHE_MODE: 44,
  SET_TLSEXT_HOSTNAME: 55,
  SET_TICKET_KEYS: 59,
  SET_STATUS_CB: 63,
  SET_OCSP_RESPONSE: 71,
  GET_PEER_TMP_KEY: 109,
  SET_MIN_PROTO_VERSION: 123,
  SET_MAX_PROTO_VERSION: 124,
} as const;

/** BIO_ctrl, and flags of a BIO: one of memory reads by this BUF_MEM, not its own to free, and copies none of it. */
export const BIO = { SET_BUF_MEM: 114, NOCLOSE: 0, MEM_RDONLY: 0x200 } as const;

/** ENABLE_PARTIAL_WRITE, ACCEPT_MOVING_WRITE_BUFFER, NO_AUTO_CHAIN, RELEASE_BUFFERS. */
export const MODE = 0x1 | 0x2 | 0x8 | 0x10;

export const OP = {
  IGNORE_UNEXPECTED_EOF: 2 ** 7,
  NO_TICKET: 2 ** 14,
  CIPHER_SERVER_PREFERENCE: 2 ** 22,
  NO_RENEGOTIATION: 2 ** 30,
  NO_COMPRESSION: 2 ** 17,
} as const;

export const VERIFY = { NONE: 0, PEER: 1, FAIL_IF_NO_PEER_CERT: 2 } as const;
/**
 * NO_PARTIAL_WILDCARDS, NEVER_CHECK_SUBJECT: a wildcard stands for a whole label, and a subject's common name is no
 * host (RFC 9525 sections 6.3 and 2).
 */
export const HOST_FLAGS = 0x4 | 0x20;
/** X509_V_FLAG_PARTIAL_CHAIN: an authority that is trusted need not be a root. */
export const PARTIAL_CHAIN = 0x8_0000;
/** X509_V_FLAG_CRL_CHECK. */
export const CRL_CHECK = 0x4;
/** What an ALPN callback answers: SSL_TLSEXT_ERR_OK, and _ALERT_FATAL, which sends no_application_protocol (120). */
export const ALPN = { OK: 0, ALERT_FATAL: 2, NEGOTIATED: 1 } as const;
/**
 * ERR_GET_REASON of the high bits that ERR_get_error packs (openssl/err.h); alerts received are 1,000 and their number.
 */
export const REASON_MASK = 0x7f_ffff;
export const ALERT_OFFSET = 1000;
