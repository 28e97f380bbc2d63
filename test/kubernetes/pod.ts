// A backend as a pod of the test cluster: answers with its name, and ends at once at SIGTERM.

import { createServer } from 'node:http';
import { hostname } from 'node:os';

createServer((_, response) => void response.end(hostname())).listen(8080);
process.on('SIGTERM', () => process.exit(0));
