/**
 * Starts the page. From a server, modules and files are fetched; from a disk, where browsers load
 * nothing but scripts, `offline.js` brings them all.
 */
(() => {
  const here = new URL(".", document.currentScript.src);
  const at = (name) => new URL(name, here).href;

  const served = {
    async read(name) {
      const answer = await fetch(at(name));
      if (!answer.ok) throw new Error(`${name} is not there (${answer.status})`);
      return new Uint8Array(await answer.arrayBuffer());
    },
    load: (name) => import(at(name)),
  };

  /** Make modules of texts: an import of one by another becomes its address in memory. */
  function fromMemory({ modules, files }) {
    const read = async (name) => {
      if (!files[name]) throw new Error(`${name} is not there`);
      const data = await fetch(`data:application/octet-stream;base64,${files[name]}`);
      return new Uint8Array(await data.arrayBuffer());
    };
    const addresses = {};
    const load = async (name) => {
      const text = new TextDecoder().decode(await read(name));
      const linked = text.replace(/from "\.\/([\w.-]+)"/g, (_, other) => `from "${addresses[other]}"`);
      addresses[name] = URL.createObjectURL(new Blob([linked], { type: "text/javascript" }));
      return import(addresses[name]);
    };
    return { read, load, modules };
  }

  function script(name) {
    return new Promise((resolve, reject) => {
      const element = Object.assign(document.createElement("script"), { src: at(name), onload: resolve });
      element.onerror = () => reject(new Error(`${name} is not there`));
      document.head.append(element);
    });
  }

  async function start() {
    if (location.protocol !== "file:") return (await served.load("page.js")).start(served);
    await script("offline.js");
    const memory = fromMemory(globalThis.sercourseVoice);
    let page;
    for (const name of memory.modules) page = await memory.load(name);
    return page.start(memory);
  }

  start().catch((error) => {
    document.querySelector("#sercourse-voice .status").textContent =
      `The page cannot start: ${error.message}; build it again with python tools/voice_page.py.`;
  });
})();
