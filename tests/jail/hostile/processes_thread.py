# expect: error|died|timeout|ok


class Policy:
    def act(self, obs):
        try:
            import _thread; _thread.start_new_thread(print, ('PWNED',)); import time; time.sleep(1)
        except Exception as error:
            print('refused', type(error).__name__)
        try:
            import threading; threading.Timer(0, print, ('PWNED',)).start()
        except Exception as error:
            print('refused', type(error).__name__)
        return 0
