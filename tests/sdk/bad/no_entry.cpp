// Exports nothing that gorbd could find.
extern "C" __attribute__((visibility("default"))) int gorb_plugin_enter() {
    return 0;
}
