export { openssl_csr } from "./openssl-csr.ts";
export { openssl_privatekey } from "./openssl-privatekey.ts";
export { openssl_publickey } from "./openssl-publickey.ts";
export { x509_certificate } from "./x509-certificate.ts";
