// The authorities that the system knows, as Node reads them (SSL_CERT_FILE and SSL_CERT_DIR name others than the
// system's). A system without any, as in an image that holds nothing but the program, has those that Node ships.

let known: readonly string[] | null = null;

/** Base64 of DER, read when they are first asked for. */
export function systemTrust(): readonly string[] {
  known ??= read();
  return known;
}

function read(): readonly string[] {
  // Only where somebody asks: it is a megabyte.
  const { getCACertificates } = process.getBuiltinModule('node:tls');
  const system = getCACertificates('system');
  const pems = system.length > 0 ? system : getCACertificates('bundled');
  return [...new Set(pems.map((pem) => pem.replace(/-----[^-]+-----|\s/g, '')))];
}
