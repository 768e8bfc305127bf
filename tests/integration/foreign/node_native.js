// Node's `soap` on the native package, from the WSDL alone. Usage: node_native.js ADDRESS
const path = require("path");
const { createRequire } = require("module");
const soap = createRequire(path.join(process.cwd(), "package.json"))("soap");

async function run(address) {
  const result = {};
  for (const port of ["Soap11", "Soap12"]) {
    const client = await soap.createClientAsync(`${address}?wsdl`, { forceSoap12Headers: port === "Soap12" });
    const call = (operation, body) =>
      new Promise((resolve, reject) =>
        client.Exchange[port][operation](body, (error, answer) => (error ? reject(error) : resolve(answer))));
    const directory = await call("GetOrganizations", {});
    const pending = await call("GetPending", { Limit: 10, WaitSeconds: 0 });
    const fault = await call("GetDocument", { MessageNumber: 999999 }).then(() => null, (error) => error.root.Envelope.Body.Fault);
    const detail = (fault.detail || fault.Detail).Error;
    result[port] = {
      organizations: directory.Organization.map((one) => [one.OrganId, one.OrganName]),
      pending: (pending.Message || []).map(({ attributes }) => [Number(attributes.number), attributes.kind, attributes.sender]),
      refusal: { Code: detail.Code, Temporary: detail.Temporary },
    };
  }
  return result;
}

run(...process.argv.slice(2)).then(
  (result) => process.stdout.write(JSON.stringify(result)),
  (error) => {
    process.stderr.write(`${error.stack}\n`);
    process.exit(1);
  },
);
