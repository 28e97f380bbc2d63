// Messages that the microbenchmarks of the HTTP/1 codec share.

/** 322 bytes: what a browser sends to an API. */
export const REQUEST =
  'GET /api/v1/items/42?x=1 HTTP/1.1\r\nHost: app.example.com\r\n' +
  'User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n' +
  'Accept: application/json, text/plain, */*\r\nAccept-Language: en-US,en;q=0.5\r\nAccept-Encoding: gzip, deflate\r\n' +
  'Cookie: sid=0123456789abcdef; theme=darkmode\r\nConnection: keep-alive\r\n\r\n';
/** 149 bytes. */
export const RESPONSE =
  'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 152\r\nDate: Sat, 21 Nov 2026 12:00:00 GMT\r\n' +
  'Server: demo/1\r\nConnection: keep-alive\r\n\r\n';
/** What `curl` sends. */
export const SMALL = 'GET / HTTP/1.1\r\nHost: localhost:8080\r\nUser-Agent: curl/8.5.0\r\nAccept: */*\r\n\r\n';
/** A page's request with client hints and a long cookie. */
export const LARGE =
  'GET /shop/category/shoes?page=2&sort=price&utm_source=newsletter HTTP/1.1\r\nHost: www.example.com\r\nConnection: keep-alive\r\n' +
  'sec-ch-ua: "Chromium";v="128", "Not;A=Brand";v="24"\r\nsec-ch-ua-mobile: ?0\r\nsec-ch-ua-platform: "Linux"\r\n' +
  'Upgrade-Insecure-Requests: 1\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/128.0.0.0 Safari/537.36\r\n' +
  'Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\nSec-Fetch-Site: same-origin\r\n' +
  'Sec-Fetch-Mode: navigate\r\nSec-Fetch-User: ?1\r\nSec-Fetch-Dest: document\r\nReferer: https://www.example.com/shop/category/shoes\r\n' +
  `Accept-Encoding: gzip, deflate, br, zstd\r\nAccept-Language: en-US,en;q=0.9\r\nCookie: ${'session=0123456789abcdef; '.repeat(12)}a=b\r\n\r\n`;
