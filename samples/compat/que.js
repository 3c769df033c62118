/**
 * The examples in the README of que, word for word but for the import; those in CoffeeScript as the JavaScript that they mean:
 *
 *     npx tsx samples/compat/que.js
 *
 * It needs a gearmand at the address below. In a program of your own the import is require('millrace/que').
 */
import { EventEmitter } from 'node:events';
import * as Que from '../../lib/compat/que.ts';

// Connecting

Que.connect(['gearman://127.0.0.1:4730'], function(){
	// all backends connected
});

// Defining worker

var EchoReverseWorker = Que.define({
	job: 'echoReverse', // job name
	driver: 'gearman', // driver's name
	process: function(callback) { // processing function
		var result = this.params.message.split('').reverse().join(''); // this.params contains all the data you send, let's just reverse the string
		callback(false, { echo: result }); // first argument specifies error(none, in our case), second - response
	}
});

// Submitting jobs

EchoReverseWorker.submit({ message: '2pac' }, function(err, response){ // second argument is optional
	response.echo == 'cap2'; // true

	// So much for the example. To see it work, and go on:
	console.log('defined:', response.echo);
	withClasses();
});

// For CoffeeScript developers

function withClasses() {
	class EchoReverseWorker extends Que.Model {
		job = 'echoReverse'
		driver = 'gearman'

		process (callback) {
			var result = this.params.message.split('').reverse().join('')
			callback(false, { echo: result })
		}
	}

	EchoReverseWorker = Que.setup(EchoReverseWorker) // this is required, notice **Models** here, not just **Model**

	// So much for the example. To see it work, and go on:
	EchoReverseWorker.submit({ message: '2pac' }, function(err, response){
		console.log('of a class:', response.echo);
		withOwnDriver();
	});
}

// Making own drivers

function withOwnDriver() {
	var handlers = {};

	class SomeDriver {
		static connect (server, callback) {
			// server is an URI, like protocol://127.0.0.1:1234
			// callback should be called when you connect to a backend
			console.log('connected:', server);
			callback();
		}

		static disconnect (callback) {
			// callback should be called when you disconnect from a backend
			callback();
		}

		static register (name, handler) {
			// name is the name of the job
			// handler is the function which handles the job
			handlers[name] = handler;
		}

		static submit (name, params) {
			// name is the name of the job
			// params is the data that should be sent
			var job = new EventEmitter();
			job.end = function(response){
				job.emit('data', response);
				job.emit('end');
			};
			setImmediate(function(){
				handlers[name](params, job);
			});
			return job;
		}
	}

	Que.registerDriver('someDriver', SomeDriver);

	// So much for the example. To see it work, and end:
	Que.connect(['someDriver://localhost:1234/'], function(){
		var worker = Que.define({
			job: 'echo',
			driver: 'someDriver',
			process: function(callback) {
				callback(false, this.params);
			}
		});
		worker.submit('2pac', function(err, response){
			console.log('of a driver:', response);
			end();
		});
	});
}

// Disconnecting, which is in the first example

function end() {
	Que.disconnect(function(){
		// all backends disconnected
		console.log('disconnected');
	});
}
