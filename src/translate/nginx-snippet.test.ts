import assert from 'node:assert/strict';
import { test } from 'node:test';
import { restriction } from './nginx-snippet.ts';

test('whoever is refused by a snippet is, wherever in it that stands', () => {
  const refuses = {
    'deny all;': 'deny all',
    'allow 10.0.0.0/8; deny all;': 'deny all',
    'return 403;': 'return 403',
    'return 503': 'return 503',
    'location ~ /\\.git { return 404; }': 'location ~ /\\.git { return 404',
    'if ($http_user_agent ~* "bot|crawl;") { return 444; }': 'if ($http_user_agent ~* bot|crawl; ) { return 444',
    'location /a { if (-f /x){return 401;} }': 'if (-f /x) { return 401',
    'auth_basic "closed";': 'auth_basic closed',
    'limit_req zone=a burst=5;': 'limit_req zone=a burst=5',
    'ssl_verify_client on;': 'ssl_verify_client on',
    'access_by_lua_block { x }': 'access_by_lua_block',
    'rewrite_by_lua_block { if a then ngx.exit(403) end }': 'rewrite_by_lua_block',
    // A number sign begins a comment where a word would, and nowhere else.
    'add_header Link "<#a>"; deny all;': 'deny all',
    'if ($uri ~ ^/a#b) { deny all; }': 'if ($uri ~ ^/a#b) { deny all',
    'rewrite ^/x$ /${a}b; deny all;': 'deny all',
    'set $a "not closed; deny all;': 'deny all',
    'location = /robots.txt { return 404; } location /b { deny all; }': 'location /b { deny all',
  };
  for (const [snippet, found] of Object.entries(refuses)) assert.equal(restriction(snippet), found, snippet);
});

test('what reads like it and refuses nobody does not', () => {
  const harmless = [
    'more_set_headers "X-Text: a; return 404";',
    "proxy_set_header X 'deny all;';",
    'set $a 1; # deny all;',
    'allow all;',
    'auth_basic off; auth_request off;',
    'auth_request_set $user $upstream_http_x_user;',
    'limit_req_status 429;',
    'return 301 https://$host$request_uri;',
    'location = /favicon.ico {\n  log_not_found off;\n  return 404;\n}',
    'header_filter_by_lua_block { ngx.header["Server"] = nil }',
    'error_page 404 /x; add_header X-Frame-Options DENY always;',
    '',
  ];
  for (const snippet of harmless) assert.equal(restriction(snippet), null, snippet);
});
